// Package sbom writes an inventory of Windows as a bill of materials in the form of
// CycloneDX 1.6. The same inventory gives the same bytes: the number of the document comes
// from its content, and its time from the disk.
package sbom

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/inventory"
)

// prefix is that of all names of properties.
const prefix = "sysprep:"

// build collects the components of a document.
type build struct {
	doc  Document
	refs map[string]int
}

// New writes the bill of an inventory. Program and version are those of what wrote it. An
// inventory with nothing but the system in it is refused: no Windows has neither packages
// nor drivers nor services.
func New(inv *inventory.Inventory, program, version string) (Document, error) {
	b := build{refs: map[string]int{image: 1}}
	b.doc = Document{Schema: schema, Format: "CycloneDX", Spec: "1.6", Version: 1}
	b.system(inv.OS)
	for _, add := range []func(*inventory.Inventory){b.packages, b.programs, b.software, b.drivers} {
		add(inv)
	}
	if len(b.doc.Components) == 1 {
		var reasons []string
		for _, s := range inv.Unreadable() {
			reasons = append(reasons, s.Where+": "+s.Reasons[0])
		}
		return Document{}, errors.Join(errEmpty, errors.New(cmp.Or(strings.Join(reasons, "; "), "every place where Windows keeps them is absent")))
	}
	slices.SortFunc(b.doc.Components[1:], func(a, c Component) int { return strings.Compare(a.Ref, c.Ref) })
	b.doc.Compositions = compositions(inv)
	b.metadata(inv, program, version)
	return b.doc, nil
}

var errEmpty = errors.New("a Windows was found, but not one of its packages, programs, drivers or services")

// add adds a component; a reference that is taken gets a number.
func (b *build) add(c Component) {
	c.Properties = slices.DeleteFunc(c.Properties, func(p Property) bool { return p.Value == "" })
	for i, p := range c.Properties {
		c.Properties[i].Name = prefix + p.Name
	}
	if b.refs[c.Ref]++; b.refs[c.Ref] > 1 {
		c.Ref += "#" + strconv.Itoa(b.refs[c.Ref])
	}
	b.doc.Components = append(b.doc.Components, c)
}

func (b *build) system(o inventory.OS) {
	name := cmp.Or(o.ProductName, "Windows")
	b.add(Component{
		Type: typeSystem, Ref: system, Publisher: microsoft, Name: name, Version: o.Version, CPE: cpe(o),
		PURL: purl("microsoft", name, o.Version, "arch", o.Architecture, "buildnumber", o.Version),
		Properties: []Property{
			{"windows:edition", o.EditionID}, {"windows:installation-type", o.InstallationType}, {"windows:display-version", o.DisplayVersion},
			{"windows:service-pack", o.ServicePack}, {"windows:build-lab", o.BuildLab}, {"windows:architecture", o.Architecture},
		},
	})
}

func (b *build) packages(inv *inventory.Inventory) {
	for _, p := range inv.Packages {
		if !p.Present {
			continue
		}
		publisher, namespace := "", ""
		if p.Token == microsoftToken {
			publisher, namespace = microsoft, "microsoft"
		}
		b.add(Component{
			Type: typeLibrary, Ref: "package:" + p.Identity, Publisher: publisher, Name: p.Name, Version: p.Version,
			PURL: purl(namespace, p.Name, p.Version, "arch", p.Architecture, "language", p.Language),
			Properties: []Property{
				{"package:identity", p.Identity}, {"package:state", p.State}, {"package:architecture", p.Architecture},
				{"package:language", p.Language}, {"package:installed", when(p.Installed)}, {"package:kb", p.KB()},
			},
		})
	}
	for _, u := range inv.Updates {
		if u.Present {
			b.add(Component{
				Type: typeLibrary, Ref: "update:" + u.ID, Publisher: microsoft, Name: u.ID, PURL: purl("microsoft", u.ID, ""),
				Properties: []Property{{"update:state", u.State}, {"update:packages", strconv.Itoa(u.Packages)}},
			})
		}
	}
}

// microsoftToken is the public key token of Microsoft's packages.
const microsoftToken = "31bf3856ad364e35"

func (b *build) programs(inv *inventory.Inventory) {
	for _, p := range inv.Programs {
		b.add(Component{
			Type: typeApplication, Ref: strings.Join([]string{"program", p.Scope, p.Profile, p.Key}, ":"), Publisher: p.Publisher, Name: p.Name, Version: p.Version,
			PURL: purl("", p.Name, p.Version),
			Properties: []Property{
				{"program:key", p.Key}, {"program:scope", p.Scope}, {"program:profile", p.Profile}, {"program:hidden", yes(p.Hidden)}, {"program:parent", p.Parent},
			},
		})
	}
}

func (b *build) software(inv *inventory.Inventory) {
	for _, f := range inv.Frameworks {
		release := ""
		if f.Release != 0 {
			release = strconv.Itoa(int(f.Release))
		}
		b.add(Component{
			Type: typeFramework, Ref: "dotnet:" + f.Key + ":" + f.Version, Publisher: microsoft, Name: f.Name, Version: f.Version, PURL: purl("microsoft", f.Name, f.Version),
			Properties: []Property{{"dotnet:key", f.Key}, {"dotnet:release", release}},
		})
	}
	for _, a := range inv.Apps {
		b.add(Component{
			Type: typeApplication, Ref: "app:" + a.FullName, Name: a.Name, Version: a.Version, PURL: purl("", a.Name, a.Version, "arch", a.Architecture),
			Properties: []Property{
				{"app:full-name", a.FullName}, {"app:architecture", a.Architecture}, {"app:resource", a.Resource}, {"app:publisher-id", a.Publisher}, {"app:kept", strings.Join(a.Kept, ", ")},
			},
		})
	}
	for _, r := range inv.Roles {
		b.add(Component{
			Type: typeApplication, Ref: "role:" + r.Name, Publisher: microsoft, Name: r.Name, Version: inv.OS.Version, PURL: purl("microsoft", r.Name, inv.OS.Version),
			Properties: []Property{{"role:state", strconv.Itoa(int(r.State))}},
		})
	}
	for _, m := range inv.Modules {
		b.add(Component{
			Type: typeLibrary, Ref: strings.Join([]string{"module", m.Folder, m.Name, m.Version}, ":"), Name: m.Name, Version: m.Version, PURL: purl("", m.Name, m.Version),
			Properties: []Property{{"module:folder", m.Folder}},
		})
	}
}

func (b *build) drivers(inv *inventory.Inventory) {
	for _, d := range inv.Drivers {
		// stornvme.inf_amd64_822f29bfb80b20e8
		name := d.Package
		if i := strings.Index(strings.ToLower(name), ".inf_"); i > 0 {
			name = name[:i+len(".inf")]
		}
		architecture := ""
		if parts := strings.Split(d.Package[len(name):], "_"); len(parts) == 3 {
			architecture = parts[1]
		}
		b.add(Component{
			Type: typeDriver, Ref: "driver:" + d.Package, Publisher: d.Provider, Name: name, Version: d.Version, PURL: purl("", name, d.Version, "arch", architecture),
			Properties: []Property{
				{"driver:package", d.Package}, {"driver:inf", d.Inf}, {"driver:original-inf", d.OriginalInf}, {"driver:class", d.Class},
				{"driver:date", day(d.Date)}, {"driver:kept", strings.Join(d.Kept, ", ")},
			},
		})
	}
	for _, s := range inv.Services {
		c := Component{Type: typeApplication, Ref: "service:" + s.Name, Name: s.Name, Properties: []Property{{"service:start", "automatic"}, {"service:image", s.Image}}}
		if s.Driver {
			c.Type, c.Properties[0].Value = typeDriver, "boot"
		}
		b.add(c)
	}
}

// compositions say that the parts of the system are not all there: some places are never
// read. What was lost beside them is said by the properties of the document.
func compositions(inv *inventory.Inventory) []Composition {
	if slices.ContainsFunc(inv.Sources, func(s inventory.Source) bool {
		return s.State == inventory.Unreadable || s.State == inventory.NotRead
	}) {
		return []Composition{{incomplete, []string{image, system}}}
	}
	return []Composition{{"unknown", []string{image, system}}}
}

func (b *build) metadata(inv *inventory.Inventory, program, version string) {
	o := b.doc.Components[0]
	m := &b.doc.Metadata
	m.Timestamp = when(inv.Written)
	m.Tools.Components = []Component{{Type: typeApplication, Name: program, Version: version}}
	m.Component = Component{Type: typeSystem, Ref: image, Publisher: microsoft, Name: o.Name, Version: o.Version}
	var lost []string
	for _, s := range inv.Sources {
		text := string(s.State)
		if s.State == inventory.Read || s.State == inventory.Unreadable {
			text += fmt.Sprintf(", %d found", s.Count)
		}
		text = strings.Join(append([]string{text + ": " + s.Where}, s.Reasons...), "; ")
		if s.State == inventory.Unreadable {
			lost = append(lost, s.ID)
		}
		m.Properties = append(m.Properties, Property{prefix + "source:" + s.ID, text})
	}
	for _, c := range tally(inv.Packages) {
		m.Properties = append(m.Properties, Property{prefix + "packages:" + c.state, strconv.Itoa(c.count)})
	}
	if len(lost) > 0 {
		m.Properties = append(m.Properties, Property{prefix + "unreadable", strings.Join(lost, ", ")})
	}
}

type counted struct {
	state string
	count int
}

// tally counts the packages by their states.
func tally(packages []inventory.Package) (list []counted) {
	for _, p := range packages {
		i, found := slices.BinarySearchFunc(list, p.State, func(c counted, s string) int { return strings.Compare(c.state, s) })
		if !found {
			list = slices.Insert(list, i, counted{state: p.State})
		}
		list[i].count++
	}
	return list
}

// Bytes are the document in JSON, ended by a line break, safe to be shown.
func (d Document) Bytes() ([]byte, error) {
	d.Serial = ""
	b, err := encode(d)
	if err != nil {
		return nil, err
	}
	// A UUID of version 8 (RFC 9562) made of the content.
	sum := sha256.Sum256(b)
	u := sum[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	d.Serial = fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
	return encode(d)
}

func encode(d Document) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(d); err != nil {
		return nil, err
	}
	return foreign.JSON(b.Bytes()), nil
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return ""
}
