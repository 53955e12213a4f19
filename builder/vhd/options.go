package vhd

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	// Each of these registers itself. Another driver is one more line here.
	_ "github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor/qemu"
	_ "github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor/running"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/option"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

// spec is the schema of the builder's options and of those of every driver,
// which stand beside them.
func (c *Config) spec() hcldec.ObjectSpec {
	spec := c.FlatMapstructure().HCL2Spec()
	for _, d := range hypervisor.Drivers() {
		maps.Copy(spec, d.Options().FlatMapstructure().HCL2Spec())
	}
	return spec
}

// decode fills in the builder's options and those of every driver.
func (c *Config) decode(raws ...any) error {
	*c = Config{drivers: map[string]hypervisor.Options{}}
	raws = slices.Clone(raws)
	drivers, theirs := hypervisor.Drivers(), map[string]bool{}
	for _, d := range drivers {
		c.drivers[d.Name] = d.Options()
		for name := range c.drivers[d.Name].FlatMapstructure().HCL2Spec() {
			theirs[name] = true
		}
	}
	ours := make([]any, len(raws))
	for i, raw := range raws {
		plain, err := plainly(raw)
		if err != nil {
			return err
		}
		raws[i] = plain
		ours[i] = only(plain, func(name string) bool { return !theirs[name] })
	}
	errs := []error{config.Decode(c, &config.DecodeOpts{PluginType: BuilderID, Interpolate: true, InterpolateContext: &c.ctx}, ours...)}
	for _, d := range drivers {
		o, own := c.drivers[d.Name], make([]any, len(raws))
		spec := o.FlatMapstructure().HCL2Spec()
		for i, raw := range raws {
			own[i] = only(raw, func(name string) bool { return spec[name] != nil || strings.HasPrefix(name, "packer_") })
		}
		errs = append(errs, config.Decode(o, &config.DecodeOpts{PluginType: BuilderID, Interpolate: true}, own...))
	}
	return errors.Join(errs...)
}

// plainly turns HCL's value of a source into the map that JSON templates come
// as, in the way of the SDK, whose own can only fill one struct.
func plainly(raw any) (any, error) {
	value, ok := raw.(cty.Value)
	if !ok {
		return raw, nil
	}
	text, err := ctyjson.SimpleJSONValue{Value: value}.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("reading options: %w", err)
	}
	var plain map[string]any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, fmt.Errorf("reading options: %w", err)
	}
	return plain, nil
}

// only is the part of a map whose keys are wanted, by their names in small
// letters, as the decoder does not tell the two. A map that is wanted whole, and
// what is no map, stays as it is.
func only(raw any, wanted func(name string) bool) any {
	v := reflect.ValueOf(raw)
	if v.Kind() != reflect.Map {
		return raw
	}
	part, all := map[string]any{}, true
	for _, key := range v.MapKeys() {
		name := fmt.Sprint(key)
		if wanted(strings.ToLower(name)) {
			part[name] = v.MapIndex(key).Interface()
		} else {
			all = false
		}
	}
	if all {
		return raw
	}
	return part
}

// driver is the chosen one, nil where that is not known yet. A name that none has
// stands for the default, so that the other options are checked all the same.
func (c *Config) driver() hypervisor.Options {
	if d := c.drivers[c.Hypervisor]; d != nil || c.Hypervisor == unknown.Value {
		return d
	}
	return c.drivers[hypervisor.Names[hypervisor.Options]()[0]]
}

// prepareHypervisor chooses the driver, and says which options mean nothing
// with it.
func (c *Config) prepareHypervisor() []error {
	names := hypervisor.Names[hypervisor.Options]()
	if err := option.Choice("hypervisor", &c.Hypervisor, names[0], names...); err != nil {
		return []error{err}
	}
	chosen := c.driver()
	if chosen == nil {
		return nil
	}
	misplaced := map[string][]string{} // by the drivers that they are for
	if _, makes := chosen.(hypervisor.Maker); !makes {
		misplaced[hypervisor.AnyOf(hypervisor.Names[hypervisor.Maker]())] = c.ofMakers()
	}
	owners := map[string][]string{}
	for _, d := range hypervisor.Drivers() {
		for _, name := range hypervisor.Set(c.drivers[d.Name]) {
			owners[name] = append(owners[name], d.Name)
		}
	}
	for name, drivers := range owners {
		if !slices.Contains(drivers, c.Hypervisor) {
			key := hypervisor.AnyOf(drivers)
			misplaced[key] = append(misplaced[key], name)
		}
	}
	var errs []error
	for _, drivers := range slices.Sorted(maps.Keys(misplaced)) {
		if options := misplaced[drivers]; len(options) > 0 {
			slices.Sort(options)
			errs = append(errs, fmt.Errorf("%s: only valid with hypervisor = %s; remove it or change hypervisor", strings.Join(options, ", "), drivers))
		}
	}
	return errs
}

// ofMakers lists the options that are set and describe a machine to be made.
func (c *Config) ofMakers() (names []string) {
	for name, is := range map[string]bool{
		"cpus": c.CPUs != 0, "memory": c.Memory != 0, "firmware": c.Firmware != "", "rtc_time_base": c.RTCTimeBase != "",
		"boot_test": c.BootTest.wanted(), "source_path": c.SourcePath != "", "source_url": c.SourceURL != "", "source_checksum": c.SourceChecksum != "",
	} {
		if is {
			names = append(names, name)
		}
	}
	return names
}

// prepareDriver prepares the options of the chosen driver, after all others.
func (c *Config) prepareDriver() (warnings []string, errs []error) {
	driver := c.driver()
	if driver == nil {
		return nil, nil
	}
	warnings, errs = driver.Prepare(c.settings())
	for _, f := range driver.Reads() {
		errs = append(errs, wantFile(f.Option, f.Path)...)
	}
	return warnings, errs
}

func (c *Config) settings() hypervisor.Settings {
	s := hypervisor.Settings{Firmware: hypervisor.Firmware(c.Firmware), ShutdownTimeout: c.ShutdownTimeout}
	if slices.Contains(communicators, c.Comm.Type) {
		s.Communicator, s.Guest = c.Comm.Type, hypervisor.Endpoint{Host: c.Comm.Host(), Port: c.Comm.Port()}
	}
	return s
}
