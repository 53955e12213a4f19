package preflight

import "slices"

// Checks are all of them, in the order in which a person would go through them: whether
// sysprep can be started, what it refuses, what breaks it midway, what spoils the image.
func Checks() []Check {
	return slices.Concat(stateChecks, servicingChecks, appChecks, licenceChecks, systemChecks, imageChecks)
}

// ByID finds a check.
func ByID(id string) (Check, bool) {
	for _, c := range Checks() {
		if c.ID == id {
			return c, true
		}
	}
	return Check{}, false
}

// IDs are those of all checks, in their order.
func IDs() (ids []string) {
	for _, c := range Checks() {
		ids = append(ids, c.ID)
	}
	return ids
}
