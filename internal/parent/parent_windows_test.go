package parent

import "testing"

// Packer runs itself a second time; the process that its user sees is the first.
func TestWorkEndsWithTheFirstOfTwoPackers(t *testing.T) { killed(t, "wrapped packer") }
