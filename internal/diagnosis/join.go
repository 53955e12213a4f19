package diagnosis

import "github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"

const joinFailed = "F96"

// joinCode is the last code of a line.
var joinCode = lazyregexp.New(`^(?:.*[\[ ](0x[0-9a-fA-F]+|\d+))?`)

// joinAdvice is what to correct where a machine could not join its domain, by
// the code (winerror.h, lmerr.h; Microsoft, KB5020276 on the reuse of accounts).
func joinAdvice(code string) string {
	n, ok := parseCode(code)
	if !ok {
		n = 0
	}
	switch n & 0xffff {
	case 1355, 1722, 53, 9002, 9003:
		return "No domain controller was found: DNS of the machine must find the domain at first boot, and its network must be up by then."
	case 1326, 1909, 1331, 1330, 2202:
		return "The account may not log on: correct Username, Password and Domain of Credentials in the answer file, and see whether the account is locked or its password expired."
	case 5:
		return "The account may log on and not join machines there: give it the right to create or reset computer accounts in that organizational unit."
	case 0xaac:
		return "A computer account of that name exists and must not be reused (KB5020276): delete it, use another name, or join with the account that made it."
	case 0x8b0:
		return "A computer account of that name exists: delete it or use another name."
	}
	return "Check name, credentials and reach of the domain; DNS must find a domain controller at first boot."
}
