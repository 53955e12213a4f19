// Package option has what every set of HCL options checks alike.
package option

import (
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

// Choice fills in a default and checks a value against its list. A value that
// is not known yet passes.
func Choice(name string, value *string, preset string, allowed ...string) error {
	if *value == "" {
		*value = preset
	}
	if *value == unknown.Value || slices.Contains(allowed, *value) {
		return nil
	}
	return fmt.Errorf("%s: %q is not one of %s", name, *value, strings.Join(allowed, ", "))
}
