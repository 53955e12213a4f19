package sysprep

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

const (
	// notInNames are the characters that no Windows account name holds (Microsoft,
	// "User name formats" and NetUserAdd); \ and @ separate the domain.
	notInNames = `"/[]:;|=,+*?<>`
	// maxName and maxPassword are more than Windows takes: a name of 20 or a
	// principal name with a domain of 255, and a password of 127 in most places.
	maxName, maxPassword = 300, 512
)

// checkAccount checks elevated_user and elevated_password; templates not before
// the build has filled them in.
func (c *Config) checkAccount(rendered bool) (errs []error) {
	for _, option := range []struct {
		name, value string
		check       func(string) string
	}{{"elevated_user", c.ElevatedUser, badName}, {"elevated_password", c.ElevatedPassword, badPassword}} {
		if option.value == "" || unknown.In(option.value) || !rendered && c.isTemplate(option.value) {
			continue
		}
		if problem := option.check(option.value); problem != "" {
			errs = append(errs, errors.New(option.name+": "+problem))
		}
	}
	return errs
}

// isTemplate reports whether a text is a template of Packer's. Braces that are
// none are part of a name or a password like any other character.
func (c *Config) isTemplate(text string) bool {
	return strings.Contains(text, "{{") && interpolate.Validate(text, &c.ctx) == nil
}

// badName says what is wrong with the name of an account.
func badName(user string) string {
	name, domain := user, ""
	if i := strings.IndexByte(user, '\\'); i >= 0 {
		domain, name = user[:i], user[i+1:]
	}
	switch {
	case !utf8.ValidString(user) || strings.ContainsFunc(user, unicode.IsControl):
		return fmt.Sprintf("%q contains a control character, which no account name may contain; write only the name", user)
	case strings.ContainsAny(name, notInNames+`\`) || strings.ContainsAny(domain, notInNames):
		return fmt.Sprintf("%q contains one of %s or a second \\, which no Windows account name may contain; write name, DOMAIN\\name or name@domain", user, notInNames)
	case strings.TrimSpace(name) == "" || domain == "" && strings.HasPrefix(user, `\`):
		return fmt.Sprintf("%q names no account; write name, DOMAIN\\name or name@domain", user)
	case name != strings.TrimSpace(name) || strings.HasSuffix(name, "."):
		return fmt.Sprintf("%q begins or ends with a space, or ends with a full stop, which no Windows account name may do; remove it", user)
	case len(user) > maxName:
		return fmt.Sprintf("it has %d characters, more than a Windows account name may have (%d)", len(user), maxName)
	}
	return ""
}

// badPassword says what is wrong with a password, and never shows it.
func badPassword(password string) string {
	switch {
	case !utf8.ValidString(password):
		return "it is not UTF-8 text; write it as text"
	case strings.Contains(password, "\x00"):
		return "it contains a zero byte, which no Windows password may contain; remove it"
	case len([]rune(password)) > maxPassword:
		return fmt.Sprintf("it has %d characters, more than a Windows password may have", len([]rune(password)))
	}
	return ""
}
