package answerfile

import (
	"slices"
	"strings"
	"testing"
)

// The vectors are Microsoft's sample of AdministratorPassword and those of the
// reference on sysprep §6.6.
func TestPasswordEncoding(t *testing.T) {
	tests := []struct{ password, element, value string }{
		{"pw", "AdministratorPassword", "cAB3AEEAZABtAGkAbgBpAHMAdAByAGEAdABvAHIAUABhAHMAcwB3AG8AcgBkAA=="},
		{"P@ssw0rd!", "AdministratorPassword", vector},
		{"P@ssw0rd!", "Password", "UABAAHMAcwB3ADAAcgBkACEAUABhAHMAcwB3AG8AcgBkAA=="},
		{"", "Password", "UABhAHMAcwB3AG8AcgBkAA=="},
		{"😀é", "Password", "PdgA3ukAUABhAHMAcwB3AG8AcgBkAA=="},
	}
	for _, tt := range tests {
		if got := EncodePassword(tt.password, tt.element); got != tt.value {
			t.Errorf("EncodePassword(%q, %s) = %s, want %s", tt.password, tt.element, got, tt.value)
		}
		if got, ok := DecodePassword(tt.value, tt.element); got != tt.password || !ok {
			t.Errorf("DecodePassword(%s, %s) = %q, %v, want %q", tt.value, tt.element, got, ok, tt.password)
		}
	}
}

func TestDecodePasswordRefusesOtherTexts(t *testing.T) {
	for _, value := range []string{"", "vagrant", "!", "cGFzc3dvcmQ=", "AAA=", EncodePassword("x", "Passwort")} {
		if _, ok := DecodePassword(value, "Password"); ok {
			t.Errorf("%q passes as an encoded password", value)
		}
	}
}

func TestSecretsAreFoundInEveryForm(t *testing.T) {
	file, err := Parse([]byte(oobe(`<UserAccounts><AdministratorPassword><Value>` + vector + `</Value><PlainText>false</PlainText></AdministratorPassword>
<LocalAccounts><LocalAccount wcm:action="add"><Name>joe</Name><Password><Value>a&lt;b&amp;"c"</Value><PlainText>true</PlainText></Password></LocalAccount></LocalAccounts></UserAccounts>
<AutoLogon><Username>joe</Username><Password><Value>` + scrubbed + `</Value></Password></AutoLogon>
<ProductKey>AAAAA-BBBBB-CCCCC-DDDDD-EEEEE</ProductKey></component><component name="` + compJoin + `">
<Identification><Credentials><Domain>lab</Domain><Password>join me</Password><Username>joe</Username></Credentials></Identification></component>
<component name="Microsoft-Windows-Setup"><UserData><ProductKey><Key>WX4NM-KYWYW-QJJR4-XV3QB-6VM33</Key></ProductKey></UserData>`)))
	if err != nil {
		t.Fatal(err)
	}
	got := Secrets(file)
	for _, want := range []string{
		"P@ssw0rd!", vector, EncodePassword("P@ssw0rd!", "Password"),
		`a<b&"c"`, `a&lt;b&amp;"c"`, `a&lt;b&amp;&#34;c&#34;`, EncodePassword(`a<b&"c"`, "Password"),
		"join me", "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("a form of a secret is missing: %q", want)
		}
	}
	for _, not := range []string{"", "joe", "lab", scrubbed, "WX4NM-KYWYW-QJJR4-XV3QB-6VM33"} {
		if slices.Contains(got, not) {
			t.Errorf("%q is no secret", not)
		}
	}
}

func TestPublishedKeysHaveTheRightForm(t *testing.T) {
	if len(volumeKeys) < 60 {
		t.Errorf("only %d editions", len(volumeKeys))
	}
	for edition := range volumeKeys {
		if key, ok := ProductKeyFor(edition); !ok || !productKeyShape.MatchString(key) {
			t.Errorf("%s: %q", edition, key)
		}
	}
	if key, ok := ProductKeyFor(" windows server  2022 DATACENTER "); !ok || key != "WX4NM-KYWYW-QJJR4-XV3QB-6VM33" {
		t.Errorf("got %q, %v", key, ok)
	}
	if _, ok := ProductKeyFor("Windows 11 Home"); ok {
		t.Error("Windows 11 Home has no volume licence")
	}
}

func TestSecretSettingsNamePlacesAndNoValues(t *testing.T) {
	file, err := Build(everything(), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`specialize Identification\Credentials\Password`, `auditSystem AutoLogon\Password`, `auditSystem UserAccounts\AdministratorPassword`, `oobeSystem AutoLogon\Password`,
		`oobeSystem UserAccounts\AdministratorPassword`, `oobeSystem UserAccounts\LocalAccounts\LocalAccount[1]\Password`,
	}
	if got := SecretSettings(file); !slices.Equal(got, want) { // its key is a published one
		t.Errorf("got %q", got)
	}
	own, err := Build(Unattend{ProductKey: "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"}, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if got := SecretSettings(own); !slices.Equal(got, []string{"specialize ProductKey"}) {
		t.Errorf("got %q", got)
	}
	text := strings.Replace(string(file.Marshal()), EncodePassword("P@ssw0rd!", "AdministratorPassword"), scrubbed, 1)
	used, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := SecretSettings(used); len(got) != len(want)-1 {
		t.Errorf("what Windows has deleted is still named: %q", got)
	}
}
