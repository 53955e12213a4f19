package sbom

// The part of CycloneDX 1.6 that is written, under the names of its JSON schema:
// https://cyclonedx.org/docs/1.6/json/
type (
	// Document is a bill of materials.
	Document struct {
		Schema       string        `json:"$schema"`
		Format       string        `json:"bomFormat"`
		Spec         string        `json:"specVersion"`
		Serial       string        `json:"serialNumber,omitempty"`
		Version      int           `json:"version"`
		Metadata     Metadata      `json:"metadata"`
		Components   []Component   `json:"components"`
		Compositions []Composition `json:"compositions"`
	}
	// Metadata says what the document is of, who wrote it, and of when it is.
	Metadata struct {
		Timestamp  string     `json:"timestamp,omitempty"`
		Tools      Tools      `json:"tools"`
		Component  Component  `json:"component"`
		Properties []Property `json:"properties,omitempty"`
	}
	// Tools are the programs that wrote the document.
	Tools struct {
		Components []Component `json:"components"`
	}
	// Component is one thing that the system is made of.
	Component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref,omitempty"`
		Publisher  string     `json:"publisher,omitempty"`
		Name       string     `json:"name"`
		Version    string     `json:"version,omitempty"`
		CPE        string     `json:"cpe,omitempty"`
		PURL       string     `json:"purl,omitempty"`
		Properties []Property `json:"properties,omitempty"`
	}
	// Property is a fact that the schema has no field for.
	Property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	// Composition says how complete the parts of what it names are.
	Composition struct {
		Aggregate  string   `json:"aggregate"`
		Assemblies []string `json:"assemblies"`
	}
)

const (
	schema    = "http://cyclonedx.org/schema/bom-1.6.schema.json"
	microsoft = "Microsoft Corporation"

	typeSystem      = "operating-system"
	typeLibrary     = "library"
	typeApplication = "application"
	typeFramework   = "framework"
	typeDriver      = "device-driver"

	incomplete = "incomplete"

	// image and system are the references of what the document is of, and of its Windows.
	image  = "image"
	system = "windows"
)
