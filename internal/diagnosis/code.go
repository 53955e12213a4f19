package diagnosis

import (
	"fmt"
	"strconv"
	"strings"
)

// codes are the values seen in sysprep logs, by HRESULT, NTSTATUS or Win32
// number (winerror.h, ntstatus.h; licensing: Microsoft's support articles).
var codes = map[uint32]string{
	0x00000001: "incorrect function",
	0x00000002: "file not found",
	0x00000003: "path not found",
	0x00000005: "access denied",
	0x0000000d: "the data is invalid",
	0x0000001f: "a device or an earlier step is not in the right state (ERROR_GEN_FAILURE)",
	0x00000020: "sharing violation, a program holds the file open",
	0x00000021: "lock violation, a program has locked the file",
	0x00000032: "not supported",
	0x00000057: "invalid parameter",
	0x00000078: "this function is not supported on this system",
	0x0000007b: "the name has the wrong form",
	0x0000007a: "buffer too small",
	0x0000007e: "module not found",
	0x000000c1: "not a valid program (wrong bitness)",
	0x00000017: "data error, the disk is damaged (ERROR_CRC)",
	0x00000035: "the network path was not found",
	0x00000070: "there is not enough space on the disk",
	0x0000041d: "the service did not start in time",
	0x00000426: "the service was not started",
	0x00000424: "there is no such service",
	0x00000430: "the service is about to be deleted",
	0x0000043c: "the service does not start in safe mode",
	0x0000045b: "the machine is shutting down",
	0x0000045d: "an input or output error of a device",
	0x00000570: "the file or folder is damaged",
	0x00000643: "the installation failed",
	0x000006ba: "the service does not answer (RPC_S_SERVER_UNAVAILABLE)",
	0x000006be: "the service ended while it was asked (RPC_S_CALL_FAILED)",
	0x00000bc2: "a restart is needed",
	0x00000bc9: "a restart is needed (ERROR_FAIL_REBOOT_REQUIRED)",
	0x00000422: "the service is disabled",
	0x00000490: "element not found",
	0x00000523: "the account name is not valid",
	0x0000052d: "the password does not meet the password policy",
	0x0000052e: "wrong user name or password",
	0x00000533: "the account is disabled",
	0x00000534: "no account or group has that name",
	0x00000560: "no local group has that name",
	0x00000562: "the account is in that group already",
	0x00000563: "a group of that name exists",
	0x0000054b: "the domain was not found or cannot be reached",
	0x000005b4: "it took too long (ERROR_TIMEOUT)",
	0x000005b9: "XML parse error",
	0x0000089a: "the account name is not valid",
	0x000008ac: "no group has that name",
	0x000008ad: "no account has that name",
	0x000008af: "a group of that name exists",
	0x000008c5: "the password does not meet the password policy",
	0x00000aac: "an account of that name exists and must not be reused",
	0x000008b0: "an account of that name exists",
	0x0000139f: "not in the correct state (ERROR_INVALID_STATE)",
	0x000036b7: "the requested key is not in the activation context (servicing is not finished)",
	0x00003cf0: "the package could not be opened",
	0x00003cf1: "package not found",
	0x00003cf2: "the package is invalid here (ERROR_INSTALL_INVALID_PACKAGE)",
	0x00003cf3: "a dependency of the package is missing",
	0x00003cf6: "the package could not be registered",
	0x00003cfa: "the package could not be removed",
	0x00003cfd: "a prerequisite of the package is missing",
	0x80080005: "the COM server did not start (CO_E_SERVER_EXEC_FAILURE)",
	0x80310039: "the drive is not fully decrypted (FVE_E_NOT_DECRYPTED)",
	0x8000ffff: "an unexpected failure (E_UNEXPECTED)",
	0x80004005: "a failure that is not described (E_FAIL)",
	0x80040154: "a class is not registered (REGDB_E_CLASSNOTREG)",
	0x800f081f: "the source files were not found (CBS_E_SOURCE_MISSING)",
	0x800f0922: "an installer of servicing failed (CBS_E_INSTALLERS_FAILED)",
	0x800f0975: "reserved storage is in use",
	0x80220001: "the component has no such setting",
	0x8022001b: "the same component or setting stands twice in one pass",
	0x80220005: "the value is invalid or too long",
	0x8030000b: "the answer file is invalid",
	0x8030000c: "the answer file has a component or setting that does not exist",
	0xc0000452: "no system partition (STATUS_SYSTEM_DEVICE_NOT_FOUND)",
	0xc004d307: "the number of rearms is used up",
	0xc004f050: "the product key is not valid",
	0xc004f069: "the product key is not of this edition",
	0xc004f075: "the Software Protection service is stopping",
}

// truncated are HRESULTs of other facilities that logs also show cut to their
// low 16 bits (0x975), and so with the wrong facility (0x80070975).
var truncated = map[uint32]uint32{0x0975: 0x800f0975, 0xd307: 0xc004d307, 0xf075: 0xc004f075, 0x001b: 0x8022001b}

// parseCode reads a code as logs print it: hex, hex of a negative decimal
// ("0x-2147417850"), signed or unsigned decimal.
func parseCode(text string) (uint32, bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	if rest, ok := strings.CutPrefix(text, "0x"); ok && !strings.HasPrefix(rest, "-") {
		n, err := strconv.ParseUint(rest, 16, 32)
		return uint32(n), err == nil
	} else if ok {
		text = rest
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < -1<<31 || n > 1<<32-1 {
		return 0, false
	}
	return uint32(n), true
}

// describeCode says what a code means, e.g. "0x3cf2 = 0x80073cf2: the package
// is invalid here"; an unknown code is returned as it is.
func describeCode(text string) string {
	n, ok := parseCode(text)
	if !ok {
		return text
	}
	full := n
	if n>>16 == 0x8007 || n <= 0xffff {
		full = n & 0xffff
		if t, ok := truncated[full]; ok {
			full = t
		}
	}
	meaning := codes[full]
	if full <= 0xffff && full != 0 {
		full |= 0x80070000 // HRESULT_FROM_WIN32
	}
	shown := text
	if hex := fmt.Sprintf("0x%08x", full); !strings.EqualFold(hex, text) {
		shown += " = " + hex
	}
	if meaning != "" {
		shown += ": " + meaning
	}
	return shown
}

// exits are exit codes of commands with a meaning that many of them share (Windows
// Installer's error codes; NTSTATUS of a process that was ended; cmd.exe).
var exits = map[uint32]string{
	1602: "the user cancelled it", 1603: "the installation failed", 1618: "another installation is running", 1619: "the package could not be opened", 1620: "the package could not be opened",
	1638: "another version is installed", 1641: "it succeeded, and has begun a restart", 3010: "it succeeded, and needs a restart", 9009: "no such command",
	0xc000013a: "it was interrupted", 0xc0000005: "it crashed", 0xc0000142: "it could not be initialized", 0xfffd0000: "PowerShell could not find the script",
}

// describeExit says what an exit code of a command means. Most say nothing outside the
// command.
func describeExit(text string) string {
	shown := "exit code " + text
	n, ok := parseCode(text)
	if !ok {
		return shown
	}
	if strings.HasPrefix(strings.ToLower(text), "0x") && n < 1<<16 {
		shown += " = " + strconv.FormatUint(uint64(n), 10)
	}
	if meaning := exits[n]; meaning != "" {
		shown += ": " + meaning
	}
	return shown
}

// byCode is what to correct for a code that tells the kind of failure.
func byCode(code, dll string) string {
	n, ok := parseCode(code)
	if !ok || n>>16 != 0x8007 && n > 0xffff {
		return ""
	}
	switch n & 0xffff {
	case 0x5:
		return "what denies the access (security software that protects its own entries, or changed permissions)"
	case 0x20, 0x21:
		return "what holds the file open (find the program and stop it before sysprep)"
	case 0x70:
		return "what fills the system volume, which has no space left"
	case 0x17, 0x45d, 0x570:
		return "the disk (chkdsk C: /f, then sfc /scannow; and look at the storage of the host)"
	case 0xbc2, 0xbc9:
		return "what is pending (restart the guest until nothing is)"
	case 0x41d, 0x424, 0x426, 0x430, 0x6ba, 0x6be:
		if name := services[dll]; name != "" {
			return "the service " + name + ", which does not run or does not answer (set it to Manual, restart the guest, and see that it starts)"
		}
		return "the service that does not answer (the provider needs it: see that it starts)"
	case 0x2, 0x3:
		return "what is missing (a clean-up or an uninstaller removed a file or registry entry that the provider needs)"
	case 0x422:
		if name := services[dll]; name != "" {
			return "the service " + name + ", which is disabled (set it to Manual)"
		}
		return "the service that is disabled (the provider needs it: set it to Manual)"
	case 0x7e, 0xc1:
		return "the registration of a module that is missing or of the wrong bitness"
	}
	return ""
}
