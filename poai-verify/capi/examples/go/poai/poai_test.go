package poai

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const capi = "../../.."

func read(t *testing.T, name string) []byte {
	t.Helper()
	for _, folder := range []string{"../../test_vectors/proofs/v1", "tests"} {
		if bytes, err := os.ReadFile(filepath.Join(capi, folder, name)); err == nil {
			return bytes
		}
	}
	t.Fatalf("no file %s", name)
	return nil
}

func changed(t *testing.T, proof []byte, how string) []byte {
	t.Helper()
	var at, bit int
	switch {
	case how == "-":
	case scanned(how, "keep:%d", &at):
		proof = proof[:at]
	case scanned(how, "add:%d", &at):
		proof = append(proof, make([]byte, at)...)
	case scanned(how, "flip:%d:%d", &at, &bit):
		proof[at] ^= 1 << bit
	default:
		t.Fatalf("no change %q", how)
	}
	return proof
}

func scanned(text, format string, into ...any) bool {
	n, err := fmt.Sscanf(text, format, into...)
	return err == nil && n == len(into)
}

func TestCases(t *testing.T) {
	table, err := os.Open(filepath.Join(capi, "tests/cases.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	lines, cases := bufio.NewScanner(table), 0
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		words := strings.Fields(lines.Text())
		expected, _ := strconv.Atoi(words[1])
		rules, _ := strconv.Atoi(words[2])
		var challenge [32]byte
		if _, err := hex.Decode(challenge[:], []byte(words[3])); err != nil {
			t.Fatal(err)
		}
		difficulty, _ := new(big.Int).SetString(words[4], 16)
		proof := changed(t, read(t, words[5]), words[6])
		verified, err := Verify(Rules(rules), challenge, difficulty, proof)
		var code Error
		if errors.As(err, &code); int(code) != expected {
			t.Errorf("%s: %d (%v), not %d", words[0], code, err, expected)
		}
		if (err == nil) != (verified != nil) || (verified != nil && verified.K != 1024) {
			t.Errorf("%s: %v", words[0], verified)
		}
		if code.Malformed() != (expected >= 16 && expected < 32) {
			t.Errorf("%s: malformed is %v", words[0], code.Malformed())
		}
		if cheap := PreliminaryVerify(Rules(rules), challenge, difficulty, proof); cheap != nil && cheap != err {
			t.Errorf("%s: cheaply %v", words[0], cheap)
		}
		cases++
	}
	if cases < 20 {
		t.Errorf("%d cases", cases)
	}
}

func TestDifficultiesThatAreNone(t *testing.T) {
	for _, difficulty := range []*big.Int{nil, big.NewInt(-1), new(big.Int).Lsh(big.NewInt(1), 128)} {
		_, err := Verify(Block, [32]byte{}, difficulty, nil)
		for _, err := range []error{err, PreliminaryVerify(Block, [32]byte{}, difficulty, nil)} {
			var code Error
			if err == nil || errors.As(err, &code) || !strings.HasPrefix(err.Error(), "poai: difficulty is n") {
				t.Errorf("%v: %v", difficulty, err)
			}
		}
	}
}

// TestGoroutines verifies in many goroutines at once, as go-ethereum's VerifyHeaders does.
func TestGoroutines(t *testing.T) {
	proof := read(t, "block.proof")
	var challenge [32]byte
	hex.Decode(challenge[:], []byte("0b7a3db984e72a861feade78ed678e1294fb370ad361954e40d302984f715847"))
	var all sync.WaitGroup
	for i := 0; i < 16; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			if _, err := Verify(Block, challenge, big.NewInt(1<<24), proof); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
}
