package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// TestTheRecipeIsAJenkinsfile reads the recipe, and copies of it with one mistake each, in one
// start of Groovy's parser.
func TestTheRecipeIsAJenkinsfile(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testutil.Root(), "example", "ci", "Jenkinsfile"))
	if err != nil {
		t.Fatal(err)
	}
	recipe := strings.ReplaceAll(string(text), "\r\n", "\n")
	cases := []struct{ from, to, want string }{
		{"", "", ""},
		{"steps {", "steps", "Groovy does not read it: line"},
		{"'packer init .'", "'packer init .", "Groovy does not read it: line 13"},
		{"triggers {", "trigers {", "line 8: trigers is not a part of pipeline"},
		{"  agent { label 'kvm' }\n", "", "line 2: pipeline has no agent"},
		{"agent { label 'kvm' }", "agent kvm", "line 3: agent is none, any, or a block"},
		{"agent { label 'kvm' }", "agent { lable 'kvm' }", "line 3: lable is not a part of agent"},
		{"steps {\n        sh 'packer init .'\n        sh 'packer build -timestamp-ui .'\n      }", "sh 'packer build .'", "line 12: sh is not a part of stage"},
		{"stage('image')", "stage", "stage needs a name of its own"},
		{"environment {", "steps { echo 'x' }\n environment {", "stage has steps twice"},
		{"environment {", "parallel { stage('a') { steps { echo 'x' } } }\n environment {", "exactly one of steps, stages"},
		{"PKR_VAR_password =", "lower.case =", "line 11: environment takes NAME"},
		{"credentials('build-password')", "password", "value of PKR_VAR_password has to be in quotes"},
		{"sh 'packer init .'", "shell 'packer init .'", "line 13: shell is not in the table of steps"},
		{"sh 'packer init .'", "def x = 1", "line 13: a step is a call"},
		{"sh 'packer init .'", "stage('b') { echo 'x' }", "line 13: stage is not allowed among steps"},
		{"always {", "allways {", "allways is not a part of post"},
		{"allowEmptyResults", "allowEmpty", "junit has no parameter allowEmpty"},
		{"time: 4, unit", "time: 4, units", "timeout has no parameter units"},
		{"stages {", "stages {}\n  stages {", "line 9: stages is empty"},
		{"pipeline {", "node {", "0 pipeline blocks"},
	}
	folder := t.TempDir()
	var paths []string
	for i, c := range cases {
		changed := strings.Replace(recipe, c.from, c.to, 1)
		if c.from != "" && changed == recipe {
			t.Fatalf("the recipe has no %q any more", c.from)
		}
		paths = append(paths, filepath.Join(folder, "Jenkinsfile"+strings.Repeat("x", i)))
		if err := os.WriteFile(paths[i], []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := parse(t.Context(), paths)
	if errors.Is(err, errMissing) {
		testutil.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		got := strings.Join(check(files[i]), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%q for %q: %q, want %q", c.to, c.from, got, c.want)
		}
	}
}
