//go:build !linux

package main

import "errors"

func initGuest() error { return errors.New("the guest boots on Linux kernels only") }
