// Package poai checks proofs of AI through the C interface of poai-verify.
//
// Build with CGO_CFLAGS=-I.../include and CGO_LDFLAGS="-L... -lpoai_capi -lm".
package poai

/*
#include "poai.h"
*/
import "C"

import (
	"fmt"
	"math/big"
	"runtime"
	"unsafe"
)

// Rules are the rules that a proof is checked under.
type Rules uint32

const (
	// Block has a block's rules.
	Block Rules = C.POAI_RULES_BLOCK
	// Share has the rules of a pool's shares, of any difficulty.
	Share Rules = C.POAI_RULES_SHARE
)

// Error is the code of a failed check, as numbered in poai.h.
type Error int32

func (e Error) Error() string { return C.GoString(C.poai_error_message(C.int32_t(e))) }

// Malformed reports whether the bytes are not a proof at all. An honest peer never sends such bytes.
func (e Error) Malformed() bool { return e >= C.POAI_MALFORMED_ENCODING && e < C.POAI_INVALID_TARGET }

// Verified is the content of a valid proof.
type Verified struct {
	M, N, K, TileRow, TileColumn uint32
	ProofHash                    [32]byte
}

// Verify checks a proof. The node computes the difficulty itself; the type is that of go-ethereum's headers.
func Verify(rules Rules, challenge [32]byte, difficulty *big.Int, proof []byte) (*Verified, error) {
	asked, err := bytesOf("difficulty", difficulty)
	if err != nil {
		return nil, err
	}
	var found C.struct_poai_verified
	code := C.poai_verify(C.uint32_t(rules), first(challenge[:]), first(asked[:]), first(proof), C.size_t(len(proof)), &found)
	runtime.KeepAlive(proof)
	if code != C.POAI_OK {
		return nil, Error(code)
	}
	verified := &Verified{
		M: uint32(found.m), N: uint32(found.n), K: uint32(found.k),
		TileRow: uint32(found.tile_row), TileColumn: uint32(found.tile_column),
	}
	for i, b := range found.proof_hash {
		verified.ProofHash[i] = byte(b)
	}
	return verified, nil
}

// PreliminaryVerify makes only the cheap checks. It returns nil if the proof deserves Verify.
func PreliminaryVerify(rules Rules, challenge [32]byte, difficulty *big.Int, proof []byte) error {
	asked, err := bytesOf("difficulty", difficulty)
	if err != nil {
		return err
	}
	code := C.poai_preliminary_verify(C.uint32_t(rules), first(challenge[:]), first(asked[:]), first(proof), C.size_t(len(proof)))
	if code != C.POAI_OK {
		return Error(code)
	}
	return nil
}

// ProofBytesMax is an upper bound on the length of a proof under the rules. Refuse longer messages before reading them.
func ProofBytesMax(rules Rules) uint64 { return uint64(C.poai_proof_bytes_max(C.uint32_t(rules))) }

// bytesOf returns a difficulty in the form that C takes. It passes zero on, because C has a code for it.
func bytesOf(name string, difficulty *big.Int) (asked [16]byte, err error) {
	if difficulty == nil {
		return asked, fmt.Errorf("poai: %s is nil", name)
	}
	if difficulty.Sign() < 0 || difficulty.BitLen() > 128 {
		return asked, fmt.Errorf("poai: %s is not within 0 and 2^128-1: %v", name, difficulty)
	}
	difficulty.FillBytes(asked[:])
	return asked, nil
}

// first returns a pointer to a slice's first byte, or null if the slice is empty.
func first(bytes []byte) *C.uint8_t {
	if len(bytes) == 0 {
		return nil
	}
	return (*C.uint8_t)(unsafe.Pointer(&bytes[0]))
}
