package hypervisor

import (
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hcldec"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
)

// The least that a driver has.
type (
	options struct {
		A    string   `mapstructure:"a"`
		B    []string `mapstructure:"b"`
		C    *bool    `mapstructure:"c,omitempty"`
		note string
	}
	maker struct{ options }
	taker struct{ options }
	both  struct {
		maker
		taker
	}
	overlayer struct{ maker }
	qcow2     struct{ overlayer }
	odd       struct{ taker }
)

func (*options) FlatMapstructure() interface{ HCL2Spec() map[string]hcldec.Spec } { return nil }
func (*options) Prepare(Settings) ([]string, []error)                             { return nil, nil }
func (*options) Reads() []File                                                    { return nil }
func (*options) New(Build) Machine                                                { return nil }
func (maker) DiskFormat() string                                                  { return "raw" }
func (maker) Doubts(GuestDrivers, Firmware) []string                              { return nil }
func (taker) OwnDisk() string                                                     { return "" }
func (taker) Held(error) bool                                                     { return false }

func (overlayer) Backing(diskimage.Info) (format, why string) { return "raw", "" }
func (qcow2) DiskFormat() string                              { return "qcow2" }
func (odd) Backing(diskimage.Info) (format, why string)       { return "raw", "" }

func (b *both) FlatMapstructure() interface{ HCL2Spec() map[string]hcldec.Spec } { return nil }
func (b *both) Prepare(Settings) ([]string, []error)                             { return nil, nil }
func (b *both) Reads() []File                                                    { return nil }
func (b *both) New(Build) Machine                                                { return nil }

func TestADriverThatContradictsItselfOrAnotherIsRefused(t *testing.T) {
	others := []Driver{{Name: "m", Default: true, Options: func() Options { return new(maker) }}}
	for name, c := range map[string]struct {
		driver Driver
		want   string
	}{
		"a maker":                               {Driver{Name: "x", Options: func() Options { return new(maker) }}, ""},
		"a taker":                               {Driver{Name: "x", Options: func() Options { return new(taker) }}, ""},
		"neither":                               {Driver{Name: "x", Options: func() Options { return new(options) }}, "a Maker or a Taker"},
		"both":                                  {Driver{Name: "x", Options: func() Options { return new(both) }}, "and not both"},
		"an overlayer":                          {Driver{Name: "x", Options: func() Options { return new(qcow2) }}, ""},
		"an overlay as raw disk":                {Driver{Name: "x", Options: func() Options { return new(overlayer) }}, "boots raw, and an overlay is qcow2"},
		"an overlay for a machine that is made": {Driver{Name: "x", Options: func() Options { return new(odd) }}, "makes overlays and no machine"},
		"a second default":                      {Driver{Name: "x", Default: true, Options: func() Options { return new(taker) }}, "m is the default already"},
		"a second m":                            {Driver{Name: "m", Options: func() Options { return new(taker) }}, "registered twice"},
	} {
		if got := contradiction(c.driver, others); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestTheDefaultIsListedFirst(t *testing.T) {
	before := registered
	defer func() { registered = before }()
	registered = nil
	for _, d := range []Driver{
		{Name: "b", Options: func() Options { return new(taker) }},
		{Name: "z", Default: true, Options: func() Options { return new(maker) }},
		{Name: "a", Options: func() Options { return new(maker) }},
	} {
		Register(d)
	}
	if got := AnyOf(Names[Options]()); got != `"z", "a" or "b"` {
		t.Error(got)
	}
	if makers, takers := AnyOf(Names[Maker]()), AnyOf(Names[Taker]()); makers != `"z" or "a"` || takers != `"b"` {
		t.Errorf("%s, %s", makers, takers)
	}
	defer func() {
		if recover() == nil {
			t.Error("registered twice")
		}
	}()
	Register(Driver{Name: "b", Options: func() Options { return new(taker) }})
}

func TestOptionsThatAreSet(t *testing.T) {
	no := false
	for _, c := range []struct {
		o    options
		want []string
	}{{options{B: []string{}, note: "x"}, nil}, {options{A: "x", C: &no}, []string{"a", "c"}}, {options{B: []string{""}}, []string{"b"}}} {
		if got := Set(&c.o); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %v", c.o, got)
		}
	}
}
