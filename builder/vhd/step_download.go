package vhd

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/download"
)

// stepDownload fetches the source disk into Packer's cache.
type stepDownload struct {
	source download.Source // nothing is done without an address
}

func (s *stepDownload) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	if s.source.Address == "" {
		return multistep.ActionContinue
	}
	_, ui := runOf(state)
	ui.Say("Retrieving source disk")
	path, err := s.source.Fetch(ctx, ui, ui.Say)
	switch {
	case ctx.Err() != nil:
		return multistep.ActionHalt
	case errors.Is(err, download.ErrChecksum):
		return halt(state, fmt.Errorf("error downloading source disk: %w\nnext: compare source_checksum with what the publisher of the disk names, and build again; a download that has another one is not kept", err))
	case err != nil:
		return halt(state, fmt.Errorf("error downloading source disk: %w", err))
	}
	state.Put(downloadKey, path)
	return multistep.ActionContinue
}

func (*stepDownload) Cleanup(multistep.StateBag) {}
