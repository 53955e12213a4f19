package render

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
)

// Kind is what SARIF is told of all findings of one id.
type Kind struct {
	ID       string
	Severity finding.Severity
	Summary  string
	// Source is where it is documented; an address becomes the help of the rule.
	Source string
}

// The parts of SARIF 2.1.0 (OASIS, §3) that are written, under its names.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
		ColumnKind  string            `json:"columnKind"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name            string      `json:"name"`
		SemanticVersion string      `json:"semanticVersion"`
		InformationURI  string      `json:"informationUri"`
		Rules           []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID                   string             `json:"id"`
		ShortDescription     sarifText          `json:"shortDescription"`
		HelpURI              string             `json:"helpUri,omitempty"`
		DefaultConfiguration sarifConfiguration `json:"defaultConfiguration"`
	}
	sarifConfiguration struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifInvocation struct {
		ExecutionSuccessful bool                `json:"executionSuccessful"`
		Notifications       []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex *int            `json:"ruleIndex,omitempty"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		FullyQualifiedName string `json:"fullyQualifiedName"`
	}
)

// SARIF writes reports as one log of the Static Analysis Results Interchange
// Format 2.1.0, which code hosts read. Version is that of this program, kinds
// are all that it can find. What could not be judged is a notification.
func SARIF(w io.Writer, version string, kinds []Kind, reports ...finding.Report) error {
	run := sarifRun{
		Tool: sarifTool{sarifDriver{Name: "packer-plugin-sysprep", SemanticVersion: version,
			InformationURI: "https://github.com/packer-plugin-sysprep/packer-plugin-sysprep", Rules: []sarifRule{}}},
		Invocations: []sarifInvocation{{ExecutionSuccessful: true}}, Results: []sarifResult{}, ColumnKind: "utf16CodeUnits",
	}
	index := map[string]int{}
	for i, k := range kinds {
		index[k.ID] = i
		rule := sarifRule{ID: k.ID, ShortDescription: sarifText{safe(k.Summary)}, DefaultConfiguration: sarifConfiguration{level(k.Severity)}}
		if at := strings.Index(k.Source, "https://"); at >= 0 {
			rule.HelpURI = strings.TrimRight(strings.Fields(k.Source[at:])[0], ";,")
		}
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, rule)
	}
	for _, r := range reports {
		if r.Error != "" {
			run.Invocations[0].ExecutionSuccessful = false
			run.Invocations[0].Notifications = append(run.Invocations[0].Notifications, sarifNotification{"error", sarifText{safe(r.Error)}})
		}
		for _, f := range r.Findings {
			if !f.Holds {
				run.Results = append(run.Results, sarifOf(f, r.Name, index))
			}
		}
	}
	text, err := json.MarshalIndent(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(foreign.JSON(text), '\n'))
	return err
}

func sarifOf(f finding.Finding, name string, index map[string]int) sarifResult {
	if f.Where.File != "" {
		name = f.Where.File
	}
	text := f.Summary
	if len(f.Remedy) > 0 {
		text += "; " + strings.Join(f.Remedy, "; ")
	}
	result := sarifResult{RuleID: f.ID, Level: level(f.Severity), Message: sarifText{safe(text)}, Locations: []sarifLocation{{
		Physical: sarifPhysical{Artifact: sarifArtifact{address(name)}},
	}}}
	if i, known := index[f.ID]; known {
		result.RuleIndex = &i
	}
	// A code host shows a result at a line: the whole file's at its first.
	result.Locations[0].Physical.Region = &sarifRegion{max(f.Where.Line, 1)}
	if len(f.Where.Path) > 0 {
		result.Locations[0].Logical = []sarifLogical{{safe(strings.Join(f.Where.Path, "/"))}}
	}
	return result
}

// level is the word of SARIF for a severity.
func level(s finding.Severity) string {
	switch s {
	case finding.Fail:
		return "error"
	case finding.Warn:
		return "warning"
	}
	return "note"
}

// address is the URI reference of a file: relative where its path is.
func address(path string) string {
	path = filepath.ToSlash(path)
	u := url.URL{Path: path}
	switch {
	case strings.HasPrefix(path, "/"):
		u.Scheme = "file"
	case len(path) > 1 && path[1] == ':': // a drive of Windows
		u = url.URL{Scheme: "file", Path: "/" + path}
	}
	return u.String()
}
