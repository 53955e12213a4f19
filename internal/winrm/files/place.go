package files

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

// File is a small file to be placed.
type File struct {
	// Path is as for Upload. Folders above it are made.
	Path    string
	Content []byte
	// Private: its folder is made anew, for SYSTEM and administrators only, and so
	// are the folders of other private files.
	Private bool
}

// Place writes small files, in place of those that are there, by one command
// (place.ps1) that is brought by none before it. What arrived is verified. A
// content is in no command line, unless the classic way has to be taken.
func (t *Transfer) Place(ctx context.Context, files ...File) error {
	paths, err := windowsPaths(files)
	if err != nil {
		return err
	}
	err = t.place(ctx, paths)
	t.mu.Lock()
	why, told := t.placing, t.told
	t.told = told || why != nil
	t.mu.Unlock()
	if why != nil && !told {
		t.options.Note(why.why)
	}
	return err
}

func windowsPaths(files []File) ([]File, error) {
	out := make([]File, len(files))
	for i, f := range files {
		path, err := windowsPath(f.Path)
		if err != nil {
			return nil, err
		}
		f.Path = path
		out[i] = f
	}
	return out, nil
}

func (t *Transfer) place(ctx context.Context, files []File) error {
	if t.places() {
		err := t.placeAll(ctx, files)
		if !t.giveUp(err) {
			return err
		}
	}
	for _, folder := range privateFolders(files) {
		first := slices.IndexFunc(files, func(f File) bool { return f.Private && strings.EqualFold(folderOf(f.Path), folder) })
		if err := t.makePrivate(ctx, files[first].Path); err != nil {
			return err
		}
	}
	for _, f := range files {
		text := t.folder
		if f.Private {
			text = folderOf(f.Path)
		}
		sum := sha256.Sum256(f.Content)
		s := &source{bytes.NewReader(f.Content), int64(len(f.Content)), hex.EncodeToString(sum[:]), func() {}}
		if err := t.typeIn(ctx, text, f.Path, s, true, func(int64) {}); err != nil {
			return err
		}
	}
	return nil
}

// makePrivate makes the folder of a file anew, in which only SYSTEM and administrators
// can read whatever is put there: by SID, because the names are in the guest's
// language. A folder with the file in it stays: a command that was given up may run
// late, after its successor has brought the file.
func (t *Transfer) makePrivate(ctx context.Context, file string) error {
	folder := folderOf(file)
	_, err := t.line(ctx, fmt.Sprintf(`if not exist "%s" ((if exist "%s" rd /s /q "%s") & md "%s" && icacls "%s" /inheritance:r /grant:r "*S-1-5-18:(OI)(CI)F" "*S-1-5-32-544:(OI)(CI)F")`, file, folder, folder, folder, folder))
	if err != nil {
		return fmt.Errorf("making %s for administrators only: %w", folder, err)
	}
	return nil
}

// places says whether PowerShell may be asked to place files.
func (t *Transfer) places() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.placing == nil && t.input == nil
}

func privateFolders(files []File) (folders []string) {
	known := map[string]bool{}
	for _, f := range files {
		if folder := folderOf(f.Path); f.Private && !known[strings.ToLower(folder)] {
			known[strings.ToLower(folder)] = true
			folders = append(folders, folder)
		}
	}
	return folders
}

// placing are the parameters of place.ps1.
type placing struct {
	Zip     string       `json:"zip"`
	SHA256  string       `json:"sha256"`
	Private []string     `json:"private,omitempty"`
	Files   []placedFile `json:"files"`
}

type placedFile struct {
	Path string `json:"path"`
	Size int    `json:"size"`
}

// allPaths are the files of which one is at fault: which, the message says.
func allPaths(files []File) string {
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.Path
	}
	return strings.Join(paths, ", ")
}

// placeAll tries again where the connection failed, or a file was in use, maybe by
// an antivirus: what is written twice is the same.
func (t *Transfer) placeAll(ctx context.Context, files []File) error {
	for try := 1; ; try++ {
		err := t.placeOnce(ctx, files)
		var failed *Error
		busy := errors.As(err, &failed) && failed.Name == "io"
		if err == nil || !busy && !passing(ctx, err) {
			return inputRefused(err)
		}
		if try == tries {
			return err
		}
		if err := rest(ctx, pause); err != nil {
			return err
		}
	}
}

func (t *Transfer) placeOnce(ctx context.Context, files []File) error {
	archive, err := packed(files)
	if err != nil {
		return fmt.Errorf("packing what is to be sent: %w", err)
	}
	sum := sha256.Sum256(archive)
	p := placing{SHA256: hex.EncodeToString(sum[:]), Private: privateFolders(files)}
	folder := t.folder
	if len(p.Private) > 0 {
		folder = p.Private[0]
	}
	t.noteMade(folder)
	p.Zip = folder + `\` + newID() + ".zip"
	for _, f := range files {
		p.Files = append(p.Files, placedFile{f.Path, len(f.Content)})
	}
	params, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("guest script place: %w", err)
	}
	said := struct{ SHA256 string }{}
	err = t.inline(ctx, scripts.Place, inputLines(params, archive), &said)
	var failed *Error
	switch unable := new(unfit); {
	case errors.As(err, &failed) && failed.Type == "System.UnauthorizedAccessException":
		failed.Name, failed.Path = "access-denied", allPaths(files)
	case errors.As(err, &failed) && failed.Type == "System.IO.IOException": // it is in use, or the disk is full: so it is for cmd.exe
		failed.Name, failed.Path = "io", allPaths(files)
	case errors.As(err, &failed):
		return &unfit{why: fmt.Sprintf("PowerShell does not take files from its input: %s (%s)", oneLine(failed.Message), failed.Type), placing: true}
	case errors.As(err, &unable):
		unable.placing = true
	case err == nil && !strings.EqualFold(said.SHA256, p.SHA256):
		return ErrHash
	}
	return err
}

// packed is a zip with the content of all files as one: scripts have much in
// common, so it is much smaller.
func packed(files []File) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	w, err := z.Create("files")
	for i := 0; err == nil && i < len(files); i++ {
		_, err = w.Write(files[i].Content)
	}
	if err == nil {
		err = z.Close()
	}
	return b.Bytes(), err
}

// inputLines are lines of base64, each of which stands for itself.
func inputLines(first, rest []byte) []byte {
	out := append(base64.StdEncoding.AppendEncode(nil, first), '\r', '\n')
	for len(rest) > 0 {
		n := min(lineBytes, len(rest))
		out = append(base64.StdEncoding.AppendEncode(out, rest[:n]), '\r', '\n')
		rest = rest[n:]
	}
	return out
}

func inlineLine(name string) string {
	return `powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand ` + scripts.Encoded(name)
}

// inline runs a script that is no file in the guest.
func (t *Transfer) inline(ctx context.Context, name string, input []byte, d any) error {
	c := winrm.Command{Line: inlineLine(name), Stdin: bytes.NewReader(input)}
	_, err := t.run(ctx, name, c, d, t.options.Stall, nil)
	return err
}
