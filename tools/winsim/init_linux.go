package main

import "github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/boot"

func initGuest() error { return boot.Init() }
