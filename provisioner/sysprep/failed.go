package sysprep

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// failed is the error of a run that ended without a verdict: its first line is
// what happened and the first step, then comes what explains it, then the other
// steps.
func failed(head verdict.Head, err error, explained []string, next ...string) error {
	steps := render.Steps(next)
	if len(steps) > 0 {
		err = fmt.Errorf("%w; %s", err, steps[0])
		steps = steps[1:]
	}
	if more := slices.Concat(explained, steps); len(more) > 0 {
		err = fmt.Errorf("%w\n%s", err, strings.Join(more, "\n"))
	}
	return verdict.Fail(head, err)
}

// errNotRunning: what was found is not there any more.
var errNotRunning = errors.New("sysprep was not started: another sysprep.exe ran and has ended while it was looked at")

// untouched is failed for a sysprep that was not started.
func untouched(err error, next ...string) error {
	return failed(verdict.Head{Class: verdict.NotStarted}, err, nil, next...)
}
