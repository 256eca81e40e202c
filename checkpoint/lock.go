package checkpoint

// Lock takes an exclusive lock on the file at path, which it creates, and returns
// the function that releases it. The lock ends with the process, so that kill -9
// leaves nothing behind. If another process holds it the error is ErrLocked.
func Lock(path string) (unlock func() error, err error) {
	unlock, err = lock(path)
	return unlock, classify(err)
}
