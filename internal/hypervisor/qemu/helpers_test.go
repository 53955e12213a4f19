package qemu

import "github.com/hashicorp/packer-plugin-sdk/template/config"

// plain are the options of a machine that runs everywhere.
var plain = Options{Accelerator: "tcg", Headless: config.TriTrue}

// quiet is a machine that has nobody to talk to.
func quiet(o Options) *Machine { return newMachine(o, func(string) {}) }
