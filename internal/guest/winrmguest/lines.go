package winrmguest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

// Lines is an Uploader that needs no standard input: lines of base64 go into a
// temporary file by echo, as Packer's communicator sends them, and PowerShell
// puts them together.
type Lines struct{ Runner }

// chunk is how many bytes go on one line: with what surrounds them, fewer
// characters than cmd.exe takes (8191).
const chunk = 5955

// Upload writes a file.
func (l Lines) Upload(ctx context.Context, path string, content []byte) error {
	if path == "" || strings.ContainsAny(path, "\"'$`% ;") || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("%q cannot be the path of an upload", path)
	}
	err := l.once(ctx, path, content)
	if errors.Is(err, winrm.ErrConnection) && ctx.Err() == nil {
		err = l.once(ctx, path, content) // what was begun is in a file of another name
	}
	return err
}

func (l Lines) once(ctx context.Context, path string, content []byte) error {
	name := "winrmcp-" + randomID() + ".tmp" // the name by which Packer's are known
	temporary := `"%TEMP%\` + name + `"`
	for first := true; first || len(content) > 0; first = false {
		n := min(chunk, len(content))
		say := "echo " + base64.StdEncoding.EncodeToString(content[:n])
		if n == 0 {
			say = "echo."
		}
		if err := l.run(ctx, say+" >> "+temporary); err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
		content = content[n:]
	}
	restore := "powershell.exe -EncodedCommand " + encode(fmt.Sprintf(restoreScript, `$env:TEMP\`+name, path))
	if err := l.run(ctx, restore+"&& echo "+echoed+"& del /f /q "+temporary); err != nil {
		return fmt.Errorf("putting %s together: %w", path, err)
	}
	return nil
}

// echoed and restored are a word that the line itself does not hold.
const (
	echoed   = "packer-^restored"
	restored = "packer-restored"
)

// run runs a line that has to work.
func (l Lines) run(ctx context.Context, line string) error {
	var out, complaint tail
	code, err := l.Runner.Run(ctx, winrm.Command{Line: line, Stdout: &out, Stderr: &complaint})
	switch {
	case err != nil:
		return err
	case strings.HasPrefix(line, "powershell") && !bytes.Contains(out, []byte(restored)):
		return fmt.Errorf("PowerShell failed in the guest: %q", complaint)
	case code != 0:
		return fmt.Errorf("the guest's cmd.exe failed with %d: %q", code, complaint)
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	const most = 512
	if *t = append(*t, p...); len(*t) > most {
		*t = append(tail(nil), (*t)[len(*t)-most:]...)
	}
	return len(p), nil
}

// encode is the argument of -EncodedCommand.
func encode(script string) string {
	units := utf16.Encode([]rune("$ProgressPreference = 'SilentlyContinue';" + script))
	raw := make([]byte, 0, 2*len(units))
	for _, u := range units {
		raw = binary.LittleEndian.AppendUint16(raw, u)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// restoreScript is the text of winrmcp (github.com/packer-community/winrmcp,
// MIT), which Packer's communicator runs in every Windows guest: what tells
// scripts apart by their text knows it.
const restoreScript = `
		$tmp_file_path = [System.IO.Path]::GetFullPath("%s")
		$dest_file_path = [System.IO.Path]::GetFullPath("%s".Trim("'"))
		if (Test-Path $dest_file_path) {
			if (Test-Path -Path $dest_file_path -PathType container) {
				Exit 1
			} else {
				rm $dest_file_path
			}
		}
		else {
			$dest_dir = ([System.IO.Path]::GetDirectoryName($dest_file_path))
			New-Item -ItemType directory -Force -ErrorAction SilentlyContinue -Path $dest_dir | Out-Null
		}

		if (Test-Path $tmp_file_path) {
			$reader = [System.IO.File]::OpenText($tmp_file_path)
			$writer = [System.IO.File]::OpenWrite($dest_file_path)
			try {
				for(;;) {
					$base64_line = $reader.ReadLine()
					if ($base64_line -eq $null) { break }
					$bytes = [System.Convert]::FromBase64String($base64_line)
					$writer.write($bytes, 0, $bytes.Length)
				}
			}
			finally {
				$reader.Close()
				$writer.Close()
			}
		} else {
			echo $null > $dest_file_path
		}
	`
