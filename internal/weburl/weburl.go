// Package weburl tells addresses from paths and takes credentials out of them.
package weburl

import (
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// hidden stands for what is not shown.
const hidden = "***"

var (
	scheme = lazyregexp.New(`^(?i)(?:[a-z0-9]+::)?([a-z][a-z0-9+.-]+)://`)
	// address ends where a space or a quote does, also as JSON and %q write
	// them.
	address = lazyregexp.New(`(?i)[a-z][a-z0-9+.-]*:(?:\\?/){2}(?:[^\s"<>\\]|\\[^\s])+`)
	// parameter is what carries a secret also where the address is cut up.
	parameter = lazyregexp.New(`(?i)([?&;\s"'(]|^)((?:sig|signature|token|sas_token|access_token|id_token|api_?key|password|secret|client_secret|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|x-goog-credential|awsaccesskeyid|aws_access_key_id|aws_access_key_secret|aws_access_token|sharedaccesssignature)=)([^&\s"'<>\\]+)`)
	port      = lazyregexp.New(`:[0-9]*$`)
)

// Scheme returns the scheme of an address in lower case, "" for what is no
// address. A drive letter is no scheme.
func Scheme(s string) string {
	m := scheme.FindStringSubmatch(s)
	if m == nil {
		return ""
	}
	return strings.ToLower(m[1])
}

// Redact takes the credentials out of every address in a text: user and
// password, the whole query (signatures stand there under many names), and a
// fragment that holds values. Redact of a result is the result.
func Redact(text string) string {
	if strings.Contains(text, "/") {
		text = address.ReplaceAllStringFunc(text, redact)
	}
	if strings.Contains(text, "=") {
		text = parameter.ReplaceAllString(text, "${1}${2}"+hidden)
	}
	return text
}

// redact does one address, which may be followed by punctuation of the
// sentence around it.
func redact(found string) string {
	bare := strings.TrimRight(found, `'.,;:!)]}\`)
	punctuation := found[len(bare):]
	slashes := strings.IndexByte(bare, '/')
	head, rest := bare[:slashes], bare[slashes:]
	for _, prefix := range []string{"//", `/\/`} {
		if after, ok := strings.CutPrefix(rest, prefix); ok {
			head, rest = head+prefix, after
			break
		}
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority := rest[:end]
	// A password may hold what ends an authority. Then the last @ counts: of
	// what is before the query, or of all, where a port is none.
	within := rest
	if at := strings.IndexByte(authority, '@'); at >= 0 {
		if tail := strings.IndexAny(rest, "?#"); tail >= 0 {
			within = rest[:tail]
		}
	} else if !strings.Contains(authority, ":") || port.MatchString(authority) {
		within = ""
	}
	if at := strings.LastIndexByte(within, '@'); at >= 0 {
		head, rest = head+hidden+"@", rest[at+1:]
	}
	if i := strings.IndexByte(rest, '?'); i >= 0 && i+1 < len(rest) {
		rest = rest[:i+1] + hidden
	} else if i := strings.IndexByte(rest, '#'); i >= 0 && strings.Contains(rest[i:], "=") {
		rest = rest[:i+1] + hidden
	}
	return head + rest + punctuation
}
