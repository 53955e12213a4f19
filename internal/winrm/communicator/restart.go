package communicator

import "github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"

// restarting is ERROR_SHUTDOWN_IN_PROGRESS, which shutdown.exe ends with while
// another shutdown is under way. Packer's windows-restart takes it for what it is.
const restarting = 1115

// restarts says whether a command does nothing but restart the guest. Windows may
// end the connection before it has told how such a command ended
// (hashicorp/packer#5936): then the restart is the reason, and windows-restart looks
// by itself whether the guest comes back.
func restarts(line string) bool { return restartLine.MatchString(line) }

var restartLine = lazyregexp.New(`(?is)\A\s*(?:"?(?:[a-z]:\\[^"&|<>]*\\)?shutdown(?:\.exe)?"?(?:\s[^&|<>]*)?\s[/-](?:r|g)(?:\s[^&|<>]*)?|powershell(?:\.exe)?\s[^|<>;]*\brestart-computer\b[^|<>;&]*)\z`)
