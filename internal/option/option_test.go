package option

import "testing"

func TestChoice(t *testing.T) {
	for _, c := range []struct{ value, after, err string }{
		{"", "a", ""}, {"b", "b", ""}, {Unknown, Unknown, ""}, {"c", "c", `x: "c" is not one of a, b`}, {"A", "A", `x: "A" is not one of a, b`},
	} {
		value, said := c.value, ""
		if err := Choice("x", &value, "a", "a", "b"); err != nil {
			said = err.Error()
		}
		if value != c.after || said != c.err {
			t.Errorf("%q: %q, %q", c.value, value, said)
		}
	}
	if Known("disks/"+Unknown+".vhd") || !Known("") {
		t.Error("a part that is not known")
	}
}
