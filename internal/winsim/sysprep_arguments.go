package winsim

import (
	"strings"
)

// sysprepOptions is a parsed command line of sysprep.exe.
type sysprepOptions struct {
	names                          []string // as the log lists them
	oobe, audit, generalize, vm    bool
	reboot, shutdown, quit, quiet  bool
	unattend                       string
	malformed, empty, inconsistent bool
}

// parseSysprep reads the arguments. An option is introduced by a slash or a
// dash; anything else is the malformed line of an unquoted blank.
func parseSysprep(argv []string) sysprepOptions {
	o := sysprepOptions{empty: len(argv) == 0}
	for _, a := range argv {
		if a == "" || (a[0] != '/' && a[0] != '-') {
			o.malformed = true
			return o
		}
		name, value, hasValue := strings.Cut(a[1:], ":")
		name = strings.ToUpper(name)
		switch {
		case name == "MODE" && strings.EqualFold(value, "vm"):
			o.vm = true
		case name == "UNATTEND" && value != "":
			o.unattend = value
		case hasValue:
			o.inconsistent = true
		case name == "OOBE":
			o.oobe = true
		case name == "AUDIT":
			o.audit = true
		case name == "GENERALIZE":
			o.generalize = true
		case name == "REBOOT":
			o.reboot = true
		case name == "SHUTDOWN":
			o.shutdown = true
		case name == "QUIT":
			o.quit = true
		case name == "QUIET":
			o.quiet = true
		default:
			o.inconsistent = true
		}
		o.names = append(o.names, name)
	}
	actions := 0
	for _, set := range []bool{o.reboot, o.shutdown, o.quit} {
		if set {
			actions++
		}
	}
	// What sysprep does without an action, or with two, is not known.
	o.inconsistent = o.inconsistent || (o.oobe && o.audit) || (!o.empty && actions != 1)
	return o
}
