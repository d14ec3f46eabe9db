package poai

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fromNbits decodes Bitcoin's nBits, the form of the targets in the vectors.
func fromNbits(bits uint32) (target [32]byte) {
	length, mantissa := bits>>24, new(big.Int).SetUint64(uint64(bits&0x7fffff))
	if length < 3 {
		mantissa.Rsh(mantissa, uint(8*(3-length)))
	} else {
		mantissa.Lsh(mantissa, uint(8*(length-3)))
	}
	mantissa.FillBytes(target[:])
	return target
}

func toNbits(target [32]byte) uint32 {
	all := new(big.Int).SetBytes(target[:])
	length := (all.BitLen() + 7) / 8
	mantissa := uint32(new(big.Int).Rsh(new(big.Int).Lsh(all, 24), uint(8*length)).Uint64())
	if mantissa&0x800000 != 0 {
		mantissa, length = mantissa>>8, length+1
	}
	return uint32(length)<<24 | mantissa
}

func TestPublishedVectors(t *testing.T) {
	table, err := os.ReadFile(filepath.Join(capi, "../../test_vectors/aserti3-2d.txt"))
	if err != nil {
		t.Fatal(err)
	}
	// No compact difficulty has the easiest target of these chains.
	easiest := fromNbits(0x1d00ffff)
	asert := Asert{BlockTime: 600, HalfLife: 172800, DifficultyMin: big.NewInt(1), EasiestTarget: &easiest}
	count := 0
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n") {
		var name string
		var height, time uint64
		var bits uint32
		if strings.HasPrefix(line, "#") {
			continue
		}
		if n, _ := fmt.Sscanf(line, "run %s %d %d %v", &name, &height, &time, &bits); n == 4 {
			asert.AnchorHeight, asert.AnchorParentTime, asert.AnchorTarget = height, time, fromNbits(bits)
			continue
		}
		if n, err := fmt.Sscanf(line, "%d %d %v", &height, &time, &bits); n != 3 {
			t.Fatal(line, err)
		}
		if _, target, err := asert.Next(height, time); err != nil || toNbits(target) != bits {
			t.Errorf("%s: %#010x, %v", line, toNbits(target), err)
		}
		count++
	}
	if count != 159 {
		t.Errorf("%d vectors", count)
	}
}

func TestDifficulties(t *testing.T) {
	start := big.NewInt(7_500_000_000_000_000)
	target, err := BaseTarget(start)
	if err != nil {
		t.Fatal(err)
	}
	asert := Asert{AnchorParentTime: 985, BlockTime: 15, HalfLife: 7200, AnchorTarget: target, DifficultyMin: big.NewInt(1 << 24)}
	for _, c := range []struct {
		time uint64
		bits uint32
	}{{1000, 0x071aa535}, {1000 + 7200, 0x070d529a}, {math.MaxUint64, 0x04010000}} {
		difficulty, _, err := asert.Next(0, c.time)
		if err != nil {
			t.Fatal(err)
		}
		bits, err := CompactEncode(difficulty)
		if err != nil || bits != c.bits {
			t.Errorf("%d: %#010x, %v", c.time, bits, err)
		}
		rounded, err := CompactDecode(bits)
		if err != nil || rounded.Cmp(difficulty) > 0 {
			t.Errorf("%d: %v, %v", c.time, rounded, err)
		}
	}
}

func TestChainQuestionsThatAreNone(t *testing.T) {
	code := func(err error) (code Error) {
		errors.As(err, &code)
		return code
	}
	if _, _, err := (Asert{}).Next(0, 0); err == nil || err.Error() != "poai: DifficultyMin is nil" {
		t.Error(err)
	}
	if _, _, err := (Asert{DifficultyMin: big.NewInt(1)}).Next(0, 0); code(err) != 5 {
		t.Error(err)
	}
	if _, _, err := (Asert{BlockTime: 15, HalfLife: 7200, DifficultyMin: big.NewInt(1)}).Next(0, 0); code(err) != 6 {
		t.Error(err)
	}
	if _, err := CompactEncode(new(big.Int)); code(err) != 3 {
		t.Error(err)
	}
	if _, err := CompactEncode(nil); err == nil || code(err) != 0 {
		t.Error(err)
	}
	if _, err := BaseTarget(nil); err == nil || code(err) != 0 {
		t.Error(err)
	}
	if _, err := CompactDecode(0x07001aa5); code(err) != 19 || !code(err).Malformed() {
		t.Error(err)
	}
}
