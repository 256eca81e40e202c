package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// notify makes a sound at the end: plays a WAV file with the system's player,
// or rings the terminal bell. "off" is silent. A player that fails falls back to
// the bell, since the sound is a courtesy and never the reason for an error.
func notify(how string, terminal io.Writer) {
	if how == "off" {
		return
	}
	if how != "bell" && play(how) == nil {
		return
	}
	fmt.Fprint(terminal, "\a")
}

// players lists commands that play a file and return, in order of preference.
func players(goos, file string) [][]string {
	switch goos {
	case "windows":
		quoted := "(New-Object Media.SoundPlayer $args[0]).PlaySync()"
		return [][]string{{"powershell", "-NoProfile", "-Command", "& {" + quoted + "}", file}}
	case "darwin":
		return [][]string{{"afplay", file}}
	}
	return [][]string{{"paplay", file}, {"pw-play", file}, {"aplay", "-q", file}}
}

func play(file string) error {
	if _, err := os.Stat(file); err != nil {
		return err
	}
	err := fmt.Errorf("no player found")
	for _, p := range players(runtime.GOOS, file) {
		cmd := exec.Command(p[0], p[1:]...)
		cmd.WaitDelay = time.Second
		if err = cmd.Run(); err == nil {
			return nil
		}
	}
	return err
}
