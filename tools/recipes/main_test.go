package main

import (
	"strings"
	"testing"
)

func TestMistakesAreFound(t *testing.T) {
	const (
		job  = "apiVersion: batch/v1\nkind: Job\nspec:\n  backoffLimit: 0\n"
		task = "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: x}\nspec:\n  steps: [{name: a, image: b, command: [c]}]\n"
		run  = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: x-}\nspec:\n  pipelineRef: {name: x}\n"
	)
	for text, want := range map[string]string{
		job: "", job + "---\n" + task: "", run: "",
		strings.Replace(job, "backoffLimit", "backofLimit", 1):    `unknown field "backofLimit"`,
		job + "  backoffLimit: 1\n":                               "already set",
		job + "---\n" + strings.Replace(task, "image", "imag", 1): "document 2",
		strings.Replace(task, "name: a", "name: A_", 1):           "A_",
		strings.Replace(run, "pipelineRef: {name: x}", "{}", 1):   "pipelineRef",
		strings.Replace(job, "Job", "Jobs", 1):                    "no kind that is known",
		"":                                                        "document 1",
	} {
		err := check([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
