package edge

import (
	"fmt"
	"log"
	"runtime/debug"
)

// NextOfCrash is what a person can do about a Crash.
const NextOfCrash = "report it with the log of Packer (PACKER_LOG=1), which has its stack: https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/issues"

// Crash is a panic of our own code: a defect of the plugin, and nothing that a guest, a disk
// or a template is to blame for.
type Crash struct {
	In    string // what went on, such as "proving the disk"
	Value any
	Stack []byte
}

// NewCrash makes one of what recover returned, in the function that it was deferred by. A
// Crash stays what it is.
func NewCrash(in string, value any) *Crash {
	if c, ok := value.(*Crash); ok {
		return c
	}
	return &Crash{in, value, debug.Stack()}
}

func (c *Crash) Error() string {
	return fmt.Sprintf("a defect in the plugin ended the run while it was %s: %v", c.In, c.Value)
}

// Guard does something, and makes a *Crash of its panic, whose stack goes to the log. A
// panic of another goroutine is not caught.
func Guard(in string, do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c := NewCrash(in, p)
			log.Printf("%s\n%s", c, c.Stack)
			err = c
		}
	}()
	return do()
}
