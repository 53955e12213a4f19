package option

import (
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

func TestChoice(t *testing.T) {
	for _, c := range []struct{ value, after, err string }{
		{"", "a", ""}, {"b", "b", ""}, {unknown.Value, unknown.Value, ""}, {"c", "c", `x: "c" is not one of a, b`}, {"A", "A", `x: "A" is not one of a, b`},
	} {
		value, said := c.value, ""
		if err := Choice("x", &value, "a", "a", "b"); err != nil {
			said = err.Error()
		}
		if value != c.after || said != c.err {
			t.Errorf("%q: %q, %q", c.value, value, said)
		}
	}
}
