package files

// WindowsPath is a path, as Packer's provisioners give it, as cmd.exe takes it:
// variables of PowerShell become those of cmd.exe, slashes turn round, and a
// relative path begins in the user's profile.
func WindowsPath(path string) (string, error) { return windowsPath(path) }
