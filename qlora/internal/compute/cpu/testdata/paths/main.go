// Command paths prints the sets of kernels that this processor can run, the best
// one first: the names P of the devices cpu:P.
package main

import (
	"fmt"

	"github.com/borea-go/borea/qlora/internal/compute/cpu"
)

func main() {
	for _, name := range cpu.Paths() {
		fmt.Println(name)
	}
}
