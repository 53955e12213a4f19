// Package schematest is for tests: it holds reports against docs/report.schema.json.
package schematest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

const address = "https://example.com/report.schema.json"

// Valid fails the test unless each line, or the one document, is valid. Unlike the
// schema it allows no key that is not described.
func Valid(t testing.TB, content []byte) {
	t.Helper()
	s, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber()
	n := 0
	for ; d.More(); n++ {
		var document any
		if err := d.Decode(&document); err != nil {
			t.Fatalf("document %d: %v", n, err)
		}
		if err := s.Validate(document); err != nil {
			text, _ := json.Marshal(document)
			t.Errorf("document %d: %v\n%.4000s", n, err, text)
		}
	}
	if n == 0 {
		t.Error("there is no document")
	}
}

// compiled is the schema, with no room for other keys.
var compiled = sync.OnceValues(compile)

func compile() (*jsonschema.Schema, error) {
	text, err := os.ReadFile(filepath.Join(testutil.Root(), "docs", "report.schema.json"))
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	strict(document)
	document.(map[string]any)["$id"] = address
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource(address, document); err != nil {
		return nil, err
	}
	return c.Compile(address)
}

// strict closes every object that says which keys it has to have.
func strict(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, object := v["properties"].(map[string]any); object && v["required"] != nil && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			strict(inner)
		}
	case []any:
		for _, inner := range v {
			strict(inner)
		}
	}
}
