package schematest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

func TestTheGoldenDocumentsAreValid(t *testing.T) {
	for _, name := range []string{"report.json", "report.jsonl", "run.json"} {
		content, err := os.ReadFile(filepath.Join(testutil.Root(), "internal", "finding", "render", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		Valid(t, content)
	}
}

// A schema that takes everything holds nothing.
func TestWhatIsNoReportIsRefused(t *testing.T) {
	s, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(testutil.Root(), "internal", "finding", "render", "testdata", "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		`"schema": 2`: `"schema": 3`, `"subject": "run"`: `"subject": "disk"`, `"holds": false`: `"holds": "no"`, `"severity": "fail"`: `"severity": "off"`,
		`"component"`: `"Component"`, `"took_ms": 720250`: `"took_ms": "12m"`, `"begun": "2026`: `"begun": "yesterday 2026`, `"outcome": "ok"`: `"outcome": "fine"`,
		`"id": "proof"`: `"id": "other"`, `"findings": []`: `"findings": null`, `"virtual_size"`: `"size_of_disk"`, `"sections"`: `"parts"`,
	} {
		broken := bytes.Replace(content, []byte(from), []byte(to), 1)
		if bytes.Equal(broken, content) {
			t.Errorf("%s is not in the document", from)
			continue
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(broken))
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(document) == nil {
			t.Errorf("%s is valid", to)
		}
	}
}

func TestTheSchemaDescribesEachKey(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testutil.Root(), "docs", "report.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs map[string]struct {
			Properties map[string]struct{ Description string }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	if len(schema.Defs) < 20 {
		t.Errorf("%d definitions", len(schema.Defs))
	}
	for name, d := range schema.Defs {
		for key, p := range d.Properties {
			if p.Description == "" && strings.HasPrefix(name, "run") {
				t.Errorf("%s.%s is not described", name, key)
			}
		}
	}
}
