// Command jenkinsfile holds declarative Jenkinsfiles against the syntax of Groovy, as
// Groovy's own parser has it, and against the sections that Jenkins knows. It needs Java and
// the jars of Groovy 2.4, which is the version in Jenkins: Debian's package groovy.
//
//	go run ./tools/jenkinsfile example/ci/Jenkinsfile
//
// Exit code: 0 nothing found, or Groovy is not installed (which is said; with
// SYSPREP_NO_SKIP=1 that is an error), 1 otherwise.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

//go:embed parse.groovy
var script []byte

// errMissing says that there is no Groovy here.
var errMissing = errors.New("java or Groovy's jars in /usr/share/groovy/lib are not there; on Debian: apt-get install groovy")

// limit is for Java to start and to parse; it takes a second on an idle machine.
const limit = 5 * time.Minute

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: jenkinsfile FILE...")
		os.Exit(1)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run checks files. Its error has a line for each thing that is wrong.
func run(paths []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	files, err := parse(ctx, paths)
	switch {
	case errors.Is(err, errMissing) && os.Getenv("SYSPREP_NO_SKIP") != "1":
		fmt.Fprintln(os.Stderr, "SKIPPED: the Jenkinsfile is not checked:", err)
		return nil
	case err != nil:
		return fmt.Errorf("checking Jenkinsfiles: %w", err)
	}
	var problems []error
	for i, f := range files {
		for _, problem := range check(f) {
			problems = append(problems, fmt.Errorf("%s: %s", paths[i], problem))
		}
	}
	return errors.Join(problems...)
}

// file is what Groovy's parser says of one.
type file struct {
	Broken     string
	Statements []statement
}

// statement is a call with its arguments and its block, or an assignment, or neither.
type statement struct {
	Line  int
	Name  string
	Sets  string
	Other string
	Args  []argument
	Block *[]statement
}

// argument is one of a call. Kind is constant, text (with expressions in it), name, call or
// expression.
type argument struct {
	Kind, Text, Key, Literal string
	Args                     []argument
}

// parse lets Groovy read files, all in one start of Java.
func parse(ctx context.Context, paths []string) ([]file, error) {
	java, err := exec.LookPath("java")
	jars, _ := filepath.Glob("/usr/share/groovy/lib/groovy-[0-9]*.jar")
	if err != nil || len(jars) == 0 {
		return nil, errMissing
	}
	folder, err := os.MkdirTemp("", "jenkinsfile")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	reader := filepath.Join(folder, "parse.groovy")
	if err := os.WriteFile(reader, script, 0o600); err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, java, append([]string{"-cp", "/usr/share/groovy/lib/*", "groovy.ui.GroovyMain", reader}, paths...)...)
	var out, wrong bytes.Buffer
	command.Stdout, command.Stderr = &out, &wrong
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("running Groovy's parser: %w: %s", err, wrong.String())
	}
	var files []file
	for d := json.NewDecoder(&out); d.More(); {
		var f file
		if err := d.Decode(&f); err != nil {
			return nil, fmt.Errorf("reading what Groovy's parser says: %w", err)
		}
		files = append(files, f)
	}
	if len(files) != len(paths) {
		return nil, fmt.Errorf("the parser of Groovy speaks of %d files instead of %d: %s", len(files), len(paths), wrong.String())
	}
	return files, nil
}
