package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// The types of the statement and of what it states.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://in-toto.io/attestation/test-result/v0.1"
	// home is where this program and the meaning of its annotations are described.
	home   = "https://github.com/packer-plugin-sysprep/packer-plugin-sysprep"
	manual = home + "/blob/main/docs/evidence.md"
)

// Results of a test run. There is no statement on an image that is not proven, and so
// no FAILED.
const (
	Passed = "PASSED"
	Warned = "WARNED"
)

// Roles of a descriptor in the configuration, under the annotation sysprepRole.
const (
	RoleVerifier   = "verifier"
	RoleTool       = "tool"
	RoleSource     = "source-disk"
	RoleAnswerFile = "answer-file"
	RoleSBOM       = "sbom"
	RoleProof      = "proof"
)

// ErrNotProven: the image was not proven, and nothing is stated about it.
var ErrNotProven = errors.New("the image is not proven, so no evidence is made of it")

// Image is the finished disk.
type Image struct {
	// Name is the last element of its path: some verifiers compare it too.
	Name string
	// File and Content are SHA-256 in hexadecimal digits: of the file as it stands, and
	// of the disk that a guest sees, as a raw image of it holds it.
	File, Content string
}

// Material is what the image was made from.
type Material struct {
	// Role is RoleSource or RoleAnswerFile.
	Role string
	// Name is the last element of a path, or an address without credentials.
	Name string
	// SHA256 is of the file, in hexadecimal digits.
	SHA256 string
}

// Proof is what was proven, by which programs.
type Proof struct {
	Findings []finding.Finding
	Facts    winimage.Facts
	// Plugin and Packer are versions; Packer is empty where it had no part.
	Plugin, Packer string
	Materials      []Material
	// SBOM is the bill of materials that is written beside the image; without a name
	// there is none. Its role is not read.
	SBOM Material
	// Hide takes secrets out of a text; nil: there are none.
	Hide func(string) string
}

type (
	statement struct {
		Type          string     `json:"_type"`
		Subject       []resource `json:"subject"`
		PredicateType string     `json:"predicateType"`
		Predicate     testResult `json:"predicate"`
	}
	resource struct {
		Name        string         `json:"name,omitempty"`
		URI         string         `json:"uri,omitempty"`
		Digest      *digestSet     `json:"digest,omitempty"`
		MediaType   string         `json:"mediaType,omitempty"`
		Annotations map[string]any `json:"annotations,omitempty"`
	}
	digestSet struct {
		SHA256 string `json:"sha256"`
	}
	testResult struct {
		Result        string     `json:"result"`
		Configuration []resource `json:"configuration"`
		Passed        []string   `json:"passedTests"`
		Warned        []string   `json:"warnedTests"`
		Failed        []string   `json:"failedTests"`
	}
	// assertion is one of the proof.
	assertion struct {
		ID       string           `json:"id"`
		Where    string           `json:"where,omitempty"`
		Severity finding.Severity `json:"severity"`
		Holds    bool             `json:"holds"`
		Summary  string           `json:"summary"`
		Expected string           `json:"expected,omitempty"`
		Found    string           `json:"found,omitempty"`
	}
	// system is a Windows on the disk.
	system struct {
		Partition    int    `json:"partition"`
		Product      string `json:"product,omitempty"`
		Edition      string `json:"edition,omitempty"`
		Build        string `json:"build,omitempty"`
		Architecture string `json:"architecture,omitempty"`
		ImageState   string `json:"image_state,omitempty"`
	}
	// change is what became of one fact of the source's identity.
	change struct {
		Name   string `json:"name"`
		State  string `json:"state"`
		Was    string `json:"was,omitempty"`
		Is     string `json:"is,omitempty"`
		Belief bool   `json:"belief,omitempty"`
	}
)

var digest = lazyregexp.New(`^[0-9a-f]{64}$`)

// Statement is the statement on a proven image: the same bytes for the same arguments,
// with no time and no path of this machine in them. They are one line of JSON.
// ErrNotProven is the error for an image that is not proven.
func Statement(i Image, p Proof) ([]byte, error) {
	if len(p.Findings) == 0 || finding.Worst(p.Findings) == finding.Fail {
		return nil, ErrNotProven
	}
	for _, sum := range []string{i.File, i.Content} {
		if !digest.MatchString(sum) {
			return nil, fmt.Errorf("stating what %s is: %q is not a SHA-256", i.Name, sum)
		}
	}
	if p.SBOM.Name != "" && !digest.MatchString(p.SBOM.SHA256) {
		return nil, fmt.Errorf("stating what %s is: %q is not a SHA-256", p.SBOM.Name, p.SBOM.SHA256)
	}
	if p.Hide == nil {
		p.Hide = func(s string) string { return s }
	}
	s := statement{Type: StatementType, Subject: subjects(i), PredicateType: PredicateType}
	s.Predicate = p.tests()
	s.Predicate.Configuration = p.configuration()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return nil, fmt.Errorf("writing the statement: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// subjects are the file and, where they differ, the disk in it, under the name that a
// raw image of it would have: in-toto asks for names that are not the same.
func subjects(i Image) []resource {
	list := []resource{{Name: i.Name, Digest: &digestSet{i.File}}}
	if i.Content == i.File {
		return list
	}
	return append(list, resource{Name: ContentName(i.Name), Digest: &digestSet{i.Content}})
}

// ContentName is the name of the subject that is the content of a disk.
func ContentName(name string) string {
	raw := strings.TrimSuffix(name, filepath.Ext(name)) + ".raw"
	if raw == name {
		return name + ".raw"
	}
	return raw
}

// tests are the assertions by how they came out. One that is only told (info) and does
// not hold is in no list, as it was not a test that the image had to pass; the proof
// among the configuration has it.
func (p Proof) tests() testResult {
	r := testResult{Result: Passed, Passed: []string{}, Warned: []string{}, Failed: []string{}}
	for _, f := range p.Findings {
		name := f.ID
		if at := where(f); at != "" {
			name += " (" + at + ")"
		}
		switch {
		case f.Holds:
			r.Passed = append(r.Passed, p.safe(name))
		case f.Severity == finding.Warn:
			r.Warned, r.Result = append(r.Warned, p.safe(name)), Warned
		}
	}
	return r
}

func where(f finding.Finding) string { return strings.Join(f.Where.Path, " ") }

func (p Proof) safe(text string) string { return foreign.Text(p.Hide(text)) }

func (p Proof) configuration() []resource {
	list := []resource{{Name: "packer-plugin-sysprep", URI: home, Annotations: role(RoleVerifier, "sysprepVersion", p.Plugin)}}
	if p.Packer != "" {
		list = append(list, resource{Name: "packer", URI: "https://github.com/hashicorp/packer", Annotations: role(RoleTool, "sysprepVersion", p.Packer)})
	}
	for _, m := range p.Materials {
		r := resource{Name: m.Name, Annotations: role(m.Role, "", nil)}
		if m.SHA256 == "" { // of a disk on a web server only what was read of it is known
			r.Name, r.URI = "", m.Name
		} else {
			r.Digest = &digestSet{m.SHA256}
		}
		list = append(list, r)
	}
	if p.SBOM.Name != "" {
		list = append(list, resource{Name: p.SBOM.Name, Digest: &digestSet{p.SBOM.SHA256}, MediaType: "application/vnd.cyclonedx+json", Annotations: role(RoleSBOM, "", nil)})
	}
	proof := role(RoleProof, "sysprepAssertions", p.assertions())
	proof["sysprepWindows"] = p.systems()
	if len(p.Facts.Against) > 0 {
		proof["sysprepIdentity"] = p.identity()
	}
	return append(list, resource{Name: "proof", URI: manual, Annotations: proof})
}

func role(name, key string, value any) map[string]any {
	m := map[string]any{"sysprepRole": name}
	if key != "" {
		m[key] = value
	}
	return m
}

func (p Proof) assertions() (list []assertion) {
	for _, f := range p.Findings {
		list = append(list, assertion{
			ID: f.ID, Where: p.safe(where(f)), Severity: f.Severity, Holds: f.Holds,
			Summary: p.safe(f.Summary), Expected: p.safe(f.Expected), Found: p.safe(f.Found),
		})
	}
	return list
}

func (p Proof) systems() []system {
	list := []system{}
	for _, w := range p.Facts.Windows {
		build := w.OS.Build
		if build != "" {
			build += fmt.Sprintf(".%d", w.OS.Revision)
		}
		list = append(list, system{
			Partition: w.Partition, Product: p.safe(w.OS.ProductName), Edition: p.safe(w.OS.EditionID), Build: p.safe(build),
			Architecture: p.safe(w.OS.Architecture), ImageState: p.safe(w.Setup.ImageState),
		})
	}
	return list
}

func (p Proof) identity() (list []change) {
	for _, c := range p.Facts.Against {
		list = append(list, change{Name: c.Name, State: c.State, Was: p.safe(c.Was), Is: p.safe(c.Is), Belief: c.Belief})
	}
	return list
}
