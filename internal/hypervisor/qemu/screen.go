package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
)

// A screen larger than this is not one of the standard VGA device.
const (
	maxWidth  = 8192
	maxHeight = 8192
)

// Screenshot writes the screen as a PNG.
func (m *Machine) Screenshot(ctx context.Context, path string) error {
	_, mon, err := m.running()
	if err != nil {
		return err
	}
	dump := filepath.Join(m.scratch, "screen.part")
	defer os.Remove(dump)
	// The format argument and PNG came with QEMU 7.1; a build without libpng refuses it.
	if mon.version.atLeast(7, 1) {
		err := mon.execute(ctx, "screendump", map[string]string{"filename": dump, "format": "png"})
		if err == nil {
			return moveFile(ctx, dump, path)
		}
		if refusal := (*commandError)(nil); !errors.As(err, &refusal) {
			return err
		}
	}
	if err := mon.execute(ctx, "screendump", map[string]string{"filename": dump}); err != nil {
		return err
	}
	picture := dump + ".png"
	defer os.Remove(picture)
	if err := ppmToPNG(dump, picture); err != nil {
		return err
	}
	return moveFile(ctx, picture, path)
}

// maxPicture bounds a picture of the screen in bytes.
const maxPicture = 256 << 20

// moveFile renames, through a copy beside the target where the two lie on
// different file systems.
func moveFile(ctx context.Context, from, to string) error {
	if hostfile.Rename(ctx, from, to) == nil {
		return nil
	}
	data, err := hostfile.ReadRegular(from, maxPicture)
	if err != nil {
		return fmt.Errorf("reading %s: %w", from, err)
	}
	return hostfile.WriteFile(ctx, to, data)
}

// parsePPM reads the binary Portable Pixel Map (P6, 8 bits a colour) that
// QEMU before 7.1 writes (netpbm, "PPM Format Specification").
func parsePPM(data []byte) (image.Image, error) {
	header, rest := data, []byte(nil)
	var fields [3]int
	if !bytes.HasPrefix(data, []byte("P6")) {
		return nil, errors.New("reading screen: not a P6 picture")
	}
	header = data[2:]
	for i := range fields {
		header = bytes.TrimLeft(header, " \t\r\n")
		n := 0
		digits := 0
		for digits < len(header) && header[digits] >= '0' && header[digits] <= '9' && digits < 6 {
			n = n*10 + int(header[digits]-'0')
			digits++
		}
		if digits == 0 || digits == len(header) {
			return nil, errors.New("reading screen: cut short or malformed header")
		}
		fields[i], header = n, header[digits:]
	}
	rest = header[1:] // exactly one white space before the pixels
	width, height, depth := fields[0], fields[1], fields[2]
	if width < 1 || height < 1 || width > maxWidth || height > maxHeight || depth != 255 {
		return nil, fmt.Errorf("reading screen: %d x %d, %d colours is not a screen", width, height, depth)
	}
	if len(rest) < 3*width*height {
		return nil, fmt.Errorf("reading screen: %d of %d bytes", len(rest), 3*width*height)
	}
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		copy(img.Pix[4*i:], rest[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	return img, nil
}

// ppmToPNG converts one file into another.
func ppmToPNG(ppm, path string) error {
	data, err := os.ReadFile(ppm)
	if err != nil {
		return fmt.Errorf("reading screen: %w", err)
	}
	img, err := parsePPM(data)
	if err != nil {
		return err
	}
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, img); err != nil {
		return fmt.Errorf("encoding screen: %w", err)
	}
	if err := os.WriteFile(path, encoded.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing screen: %w", err)
	}
	return nil
}
