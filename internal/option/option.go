// Package option has what every set of HCL options checks alike.
package option

import (
	"fmt"
	"slices"
	"strings"
)

// Unknown is what Packer puts in place of a value that is known only during
// the build.
const Unknown = "<unknown>"

// Known says whether the whole of a value is known.
func Known(value string) bool { return !strings.Contains(value, Unknown) }

// Choice fills in a default and checks a value against its list. A value that
// is not known yet passes.
func Choice(name string, value *string, preset string, allowed ...string) error {
	if *value == "" {
		*value = preset
	}
	if *value == Unknown || slices.Contains(allowed, *value) {
		return nil
	}
	return fmt.Errorf("%s: %q is not one of %s", name, *value, strings.Join(allowed, ", "))
}
