package poai

/*
#include "poai.h"
*/
import "C"

import "math/big"

// Asert is a chain's retargeting from an anchor on. All fields are constants of the chain.
type Asert struct {
	// AnchorHeight is the height of the anchor, a block whose target is given, not computed.
	AnchorHeight uint64
	// AnchorParentTime is the time of the anchor's parent, in seconds. A genesis has no parent: use its own time minus BlockTime.
	AnchorParentTime uint64
	// BlockTime is the number of seconds between blocks.
	BlockTime uint32
	// HalfLife is the number of seconds behind schedule that halves the difficulty.
	HalfLife uint32
	// AnchorTarget is the anchor's target, as BaseTarget returns it.
	AnchorTarget [32]byte
	// DifficultyMin is the least difficulty. It has to be one that CompactEncode does not round.
	DifficultyMin *big.Int
	// EasiestTarget is nil, or the easiest target itself, for a chain whose least difficulty has no compact form.
	// DifficultyMin is then checked, but limits nothing.
	EasiestTarget *[32]byte
}

// Next returns the difficulty of the block after a parent, and its base target. The parent has to be the block's own:
// compare hash and number first.
func (a Asert) Next(parentHeight, parentTime uint64) (*big.Int, [32]byte, error) {
	var difficulty [16]byte
	var target [32]byte
	least, err := bytesOf("DifficultyMin", a.DifficultyMin)
	if err != nil {
		return nil, target, err
	}
	asked := C.struct_poai_asert{
		anchor_height:      C.uint64_t(a.AnchorHeight),
		anchor_parent_time: C.uint64_t(a.AnchorParentTime),
		block_time:         C.uint32_t(a.BlockTime),
		half_life:          C.uint32_t(a.HalfLife),
	}
	for i, b := range a.AnchorTarget {
		asked.anchor_target[i] = C.uint8_t(b)
	}
	for i, b := range least {
		asked.difficulty_min[i] = C.uint8_t(b)
	}
	var easiest *C.uint8_t
	if a.EasiestTarget != nil {
		easiest = first(a.EasiestTarget[:])
	}
	code := C.poai_asert_next(&asked, easiest, C.uint64_t(parentHeight), C.uint64_t(parentTime), first(difficulty[:]), first(target[:]))
	if code != C.POAI_OK {
		return nil, target, Error(code)
	}
	return new(big.Int).SetBytes(difficulty[:]), target, nil
}

// BaseTarget returns the target of one multiply-accumulate at a difficulty, the highest byte first.
func BaseTarget(difficulty *big.Int) (target [32]byte, err error) {
	asked, err := bytesOf("difficulty", difficulty)
	if err != nil {
		return target, err
	}
	if code := C.poai_base_target(first(asked[:]), first(target[:])); code != C.POAI_OK {
		return target, Error(code)
	}
	return target, nil
}

// CompactEncode returns a difficulty in 32 bits, rounded down.
func CompactEncode(difficulty *big.Int) (uint32, error) {
	asked, err := bytesOf("difficulty", difficulty)
	if err != nil {
		return 0, err
	}
	var bits C.uint32_t
	if code := C.poai_compact_encode(first(asked[:]), &bits); code != C.POAI_OK {
		return 0, Error(code)
	}
	return uint32(bits), nil
}

// CompactDecode returns the difficulty that 32 bits stand for.
func CompactDecode(bits uint32) (*big.Int, error) {
	var difficulty [16]byte
	if code := C.poai_compact_decode(C.uint32_t(bits), first(difficulty[:])); code != C.POAI_OK {
		return nil, Error(code)
	}
	return new(big.Int).SetBytes(difficulty[:]), nil
}
