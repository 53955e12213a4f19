// Package cyclonedxtest is for tests: it holds documents against CycloneDX's own schema,
// which comes with a module that Packer is built of.
package cyclonedxtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// Check says what the schema of CycloneDX 1.6 has against a document; nil: nothing. The
// test is skipped loudly where there is no Go to fetch the schema with, or no network.
func Check(t testing.TB, document []byte) error {
	t.Helper()
	testutil.Tool(t, "go")
	schema, err := compiled()
	if err != nil {
		testutil.Missing(t, fmt.Sprintf("CycloneDX's schema: %v", err))
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return err
	}
	return schema.Validate(parsed)
}

var compiled = sync.OnceValues(compile)

func compile() (*jsonschema.Schema, error) {
	const module = "github.com/CycloneDX/cyclonedx-go"
	packer := filepath.Join(testutil.Root(), "tools", "packer")
	// A Packer that was built long ago says nothing of what the module cache has today.
	if _, err := run("-C", packer, "mod", "download", module); err != nil {
		return nil, err
	}
	dir, err := run("-C", packer, "list", "-m", "-f", "{{.Dir}}", module)
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(strings.TrimSpace(dir), "schema")
	c := jsonschema.NewCompiler()
	// The schema refers to two others by their addresses.
	for name, file := range map[string]string{"spdx": "spdx.schema.json", "jsf-0.82": "jsf-0.82.schemax.json"} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return nil, err
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		if err := c.AddResource("http://cyclonedx.org/schema/"+name+".schema.json", document); err != nil {
			return nil, err
		}
	}
	return c.Compile(filepath.Join(dir, "bom-1.6.schema.json"))
}

func run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
