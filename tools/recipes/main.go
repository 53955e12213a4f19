// Command recipes holds the recipes for Kubernetes and Tekton in example/ci against the types
// of their projects: a field that is unknown, there twice or of another type is an error, and
// Tekton's own validation runs as well. tools/lint starts it, with the files.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	tekton "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	batch "k8s.io/api/batch/v1"
	documents "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

func main() {
	bad := len(os.Args) < 2
	for _, path := range os.Args[1:] {
		text, err := os.ReadFile(path)
		if err == nil {
			err = check(text)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			bad = true
		}
	}
	if bad {
		os.Exit(1)
	}
}

// check is about a file of one or more documents.
func check(text []byte) error {
	all := documents.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for n := 1; ; n++ {
		one, err := all.Read()
		switch {
		case errors.Is(err, io.EOF) && n > 1:
			return nil
		case err == nil:
			err = document(one)
		}
		if err != nil {
			return fmt.Errorf("document %d: %w", n, err)
		}
	}
}

func document(text []byte) error {
	var head struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal(text, &head); err != nil {
		return err
	}
	ctx := context.Background()
	switch head.APIVersion + " " + head.Kind {
	case "batch/v1 Job":
		return yaml.UnmarshalStrict(text, new(batch.Job))
	case "tekton.dev/v1 Task":
		var t tekton.Task
		if err := yaml.UnmarshalStrict(text, &t); err != nil {
			return err
		}
		t.SetDefaults(ctx)
		if err := t.Validate(ctx); err != nil {
			return err
		}
		return nil
	case "tekton.dev/v1 PipelineRun":
		var r tekton.PipelineRun
		if err := yaml.UnmarshalStrict(text, &r); err != nil {
			return err
		}
		if r.Name == "" && r.GenerateName != "" {
			r.Name = r.GenerateName + "12345" // as the API server does before it asks Tekton
		}
		r.SetDefaults(ctx)
		if err := r.Validate(ctx); err != nil {
			return err
		}
		return nil
	}
	return fmt.Errorf("%s %s is no kind that is known here", head.APIVersion, head.Kind)
}
