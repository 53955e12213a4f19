package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The tables below are the declarative syntax as ModelParser, ModelValidatorImpl and
// ast-schema.json of jenkinsci/pipeline-model-definition-plugin have it at commit 42c9dc3e.

// section is what a block may hold.
type section struct {
	children []string
	needs    []string
	// oneOf are children of which exactly one has to be there.
	oneOf []string
}

var sections = map[string]section{
	"pipeline": {
		children: []string{"stages", "environment", "post", "agent", "tools", "options", "parameters", "triggers", "libraries"},
		needs:    []string{"agent", "stages"},
	},
	"stages":   {children: []string{"stage"}},
	"parallel": {children: []string{"stage"}},
	"stage": {
		children: []string{"agent", "when", "steps", "post", "options", "input", "tools", "environment", "parallel", "matrix", "failFast", "stages"},
		oneOf:    []string{"steps", "stages", "parallel", "matrix"},
	},
	"matrix": {
		children: []string{"axes", "excludes", "agent", "when", "post", "options", "input", "tools", "environment", "stages"},
		needs:    []string{"axes", "stages"},
	},
	"axes":        {children: []string{"axis"}},
	"axis":        {children: []string{"name", "values"}, needs: []string{"name", "values"}},
	"excludes":    {children: []string{"exclude"}},
	"exclude":     {children: []string{"axis"}},
	"input":       {children: []string{"message", "id", "ok", "submitter", "submitterParameter", "parameters"}, needs: []string{"message"}},
	"post":        {children: []string{"always", "changed", "fixed", "regression", "aborted", "success", "unsuccessful", "unstable", "failure", "notBuilt", "cleanup"}},
	"agent":       {children: []string{"label", "node", "docker", "dockerfile", "kubernetes"}},
	"when":        {children: []string{"allOf", "anyOf", "not", "branch", "buildingTag", "changeRequest", "changelog", "changeset", "environment", "equals", "expression", "isRestartedRun", "tag", "triggeredBy", "beforeAgent", "beforeInput", "beforeOptions"}},
	"options":     {children: []string{"buildDiscarder", "checkoutToSubdirectory", "disableConcurrentBuilds", "disableRestartFromStage", "disableResume", "newContainerPerStage", "overrideIndexTriggers", "parallelsAlwaysFailFast", "preserveStashes", "quietPeriod", "rateLimitBuilds", "retry", "skipDefaultCheckout", "skipStagesAfterUnstable", "timeout", "timestamps", "lock"}},
	"triggers":    {children: []string{"cron", "pollSCM", "upstream"}},
	"parameters":  {children: []string{"string", "text", "booleanParam", "choice", "password", "file"}},
	"libraries":   {children: []string{"lib"}},
	"environment": {},
	"tools":       {},
}

// repeated are the children that may stand in a block more than once.
var repeated = []string{"stage", "axis", "exclude", "allOf", "anyOf", "not", "branch", "changeset", "environment", "equals", "expression", "tag", "triggeredBy", "lib", "string", "text", "booleanParam", "choice", "password", "file", "lock"}

// steps are those that our recipe uses, by their parameters, the first of which may go
// without its name. Sources: DurableTaskStep and ShellStep of workflow-durable-task-step-plugin
// 46cb22ff, JUnitResultsStep of junit-plugin c64aedde, TimeoutStep and EchoStep of
// workflow-basic-steps-plugin a789b07, ArtifactArchiver of Jenkins. A step that is not here
// is refused: it has to be looked up once, by whoever uses it.
var steps = map[string][]string{
	"sh":               {"script", "returnStdout", "returnStatus", "encoding", "label"},
	"echo":             {"message"},
	"junit":            {"testResults", "healthScaleFactor", "testDataPublishers", "keepLongStdio", "stdioRetention", "keepProperties", "keepTestNames", "skipPublishingChecks", "checksName", "allowEmptyResults", "skipMarkingBuildUnstable", "skipMarkingStageUnstable", "skipOldReports"},
	"archiveArtifacts": {"artifacts", "excludes", "allowEmptyArchive", "onlyIfSuccessful", "fingerprint", "defaultExcludes", "caseSensitive", "followSymlinks"},
	"timeout":          {"time", "unit", "activity"},
	"cron":             {"spec"},
	"credentials":      {"credentialsId"},
}

var identifier = regexp.MustCompile(`^[A-Za-z_]\w*$`)

// checker collects what is wrong with one file.
type checker struct{ problems []string }

func (c *checker) say(line int, format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf("line %d: ", line)+fmt.Sprintf(format, args...))
}

// check is what is wrong with a Jenkinsfile, with its lines, in their order.
func check(f file) []string {
	if f.Broken != "" {
		return []string{"Groovy does not read it: " + f.Broken}
	}
	var c checker
	found := 0
	for _, s := range f.Statements {
		if s.Name == "pipeline" {
			found++
			c.section("pipeline", s)
		}
	}
	if found != 1 {
		c.say(1, "%d pipeline blocks, and a declarative Jenkinsfile has one", found)
	}
	return c.problems
}

// section checks a block by its table, then each of its children by its kind.
func (c *checker) section(kind string, s statement) {
	table := sections[kind]
	if s.Block == nil {
		c.say(s.Line, "%s needs a block in braces", s.Name)
		return
	}
	if len(*s.Block) == 0 {
		c.say(s.Line, "%s is empty", s.Name)
		return
	}
	seen := map[string]int{}
	names := map[string]bool{}
	for _, child := range *s.Block {
		switch {
		case kind == "environment":
			c.variable(child)
			continue
		case child.Name == "":
			c.say(child.Line, "%s holds no statement like this; it takes %s", kind, strings.Join(table.children, ", "))
			continue
		case kind == "tools":
			continue // the names are those of the server
		case !slices.Contains(table.children, child.Name):
			c.say(child.Line, "%s is not a part of %s, which takes %s", child.Name, kind, strings.Join(table.children, ", "))
			continue
		}
		if seen[child.Name]++; seen[child.Name] == 2 && !slices.Contains(repeated, child.Name) {
			c.say(child.Line, "%s has %s twice", kind, child.Name)
		}
		if child.Name == "stage" {
			name := ""
			if len(child.Args) == 1 && child.Args[0].Literal == "text" {
				name = child.Args[0].Text
			}
			if name == "" || names[name] {
				c.say(child.Line, "stage needs a name of its own, as a text")
			}
			names[name] = true
		}
		c.child(kind, child)
	}
	for _, name := range table.needs {
		if seen[name] == 0 {
			c.say(s.Line, "%s has no %s", kind, name)
		}
	}
	if len(table.oneOf) > 0 {
		n := 0
		for _, name := range table.oneOf {
			n += min(seen[name], 1)
		}
		if n != 1 {
			c.say(s.Line, "%s needs exactly one of %s", kind, strings.Join(table.oneOf, ", "))
		}
	}
	if kind == "agent" && len(*s.Block) > 1 {
		c.say(s.Line, "agent takes one of %s", strings.Join(table.children, ", "))
	}
}

// child goes on with what stands in a section.
func (c *checker) child(kind string, s statement) {
	switch {
	case s.Name == "steps" || kind == "post":
		c.steps(s)
	case s.Name == "agent" && s.Block == nil:
		if len(s.Args) != 1 || s.Args[0].Kind != "name" || s.Args[0].Text != "none" && s.Args[0].Text != "any" {
			c.say(s.Line, "agent is none, any, or a block")
		}
	case kind == "options" || kind == "triggers":
		if s.Block != nil {
			c.say(s.Line, "%s in %s takes no block", s.Name, kind)
		}
		c.arguments(s.Line, s.Name, s.Args)
	case kind == "when" || kind == "agent" || kind == "parameters":
	default:
		if _, ok := sections[s.Name]; ok {
			c.section(s.Name, s)
		}
	}
}

// variable is one of environment.
func (c *checker) variable(s statement) {
	if !identifier.MatchString(s.Sets) || len(s.Args) != 1 {
		c.say(s.Line, "environment takes NAME = 'value'")
		return
	}
	switch a := s.Args[0]; {
	case a.Kind == "call":
		c.arguments(s.Line, a.Text, a.Args)
	case a.Literal != "text" && a.Kind != "text" && a.Kind != "expression":
		c.say(s.Line, "the value of %s has to be in quotes", s.Sets)
	}
}

// steps are the commands of a stage, or of a condition of post.
func (c *checker) steps(s statement) {
	if s.Block == nil || len(*s.Block) == 0 {
		c.say(s.Line, "%s needs a block with steps", s.Name)
		return
	}
	for _, step := range *s.Block {
		switch {
		case step.Name == "":
			c.say(step.Line, "a step is a call; other Groovy stands in a script block")
		case slices.Contains([]string{"stage", "properties", "parallel", "pipeline"}, step.Name):
			c.say(step.Line, "%s is not allowed among steps", step.Name)
		case step.Name == "script":
			if step.Block == nil {
				c.say(step.Line, "script needs a block")
			}
		case steps[step.Name] == nil:
			c.say(step.Line, "%s is not in the table of steps of tools/jenkinsfile: look its parameters up, and add it", step.Name)
		default:
			c.arguments(step.Line, step.Name, step.Args)
			if step.Block != nil {
				c.steps(step)
			}
		}
	}
}

// arguments checks those of a call that the table of steps has.
func (c *checker) arguments(line int, name string, args []argument) {
	takes := steps[name]
	if takes == nil {
		return
	}
	if len(args) == 0 {
		c.say(line, "%s needs %s", name, takes[0])
	}
	for _, a := range args {
		switch {
		case a.Key == "" && len(args) > 1:
			c.say(line, "%s: more than one parameter, and one has no name", name)
		case a.Key != "" && !slices.Contains(takes, a.Key):
			c.say(line, "%s has no parameter %s, but %s", name, a.Key, strings.Join(takes, ", "))
		}
	}
}
