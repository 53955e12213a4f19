package preflight

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const goldens = "../guest/scripts/golden"

// golden reads what preflight.ps1 wrote in a real PowerShell.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(goldens, "preflight-"+name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// now is when the tests are made: the goldens' time.
var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// ordinary is what a usual run asks for.
var ordinary = Plan{Generalize: true, AnswerFile: true, Now: now}

// quiet is what the goldens do not have, as it is on a Windows that is in order.
var quiet = []string{
	`bootEntries={"key":true,"list":[{"description":"Windows 10","winpe":false},{"description":"Recovery","winpe":true}]}`,
	`licensing.products=[{"name":"Windows","description":"VOLUME_KMSCLIENT channel","remainingSkuReArmCount":1000,"evaluationEnd":"1601-01-01T00:00:00.0000000Z"}]`,
	`externalProviders.list=[]`, `storePolicy.autoDownload=2`,
}

// facts are those of a golden, with edits: "fact.member=JSON" sets a value, "fact!" makes the
// fact an error, "fact-" takes it away.
func facts(t testing.TB, name string, edits ...string) Facts {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(golden(t, name), &doc); err != nil {
		t.Fatal(err)
	}
	all := doc["facts"].(map[string]any)
	for _, edit := range edits {
		edited(t, all, edit)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func edited(t testing.TB, all map[string]any, edit string) {
	t.Helper()
	path, text, sets := strings.Cut(edit, "=")
	switch {
	case !sets && strings.HasSuffix(edit, "!"):
		all[strings.TrimSuffix(edit, "!")] = map[string]any{"error": "Access is denied."}
		return
	case !sets && strings.HasSuffix(edit, "-"):
		delete(all, strings.TrimSuffix(edit, "-"))
		return
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%s: %v", edit, err)
	}
	steps := strings.Split(path, ".")
	fact, ok := all[steps[0]].(map[string]any)
	if !ok || len(steps) == 1 {
		fact = map[string]any{"value": map[string]any{}}
		all[steps[0]] = fact
	}
	if len(steps) == 1 {
		fact["value"] = value
		return
	}
	at := fact["value"].(map[string]any)
	for _, step := range steps[1 : len(steps)-1] {
		at = at[step].(map[string]any)
	}
	at[steps[len(steps)-1]] = value
}
