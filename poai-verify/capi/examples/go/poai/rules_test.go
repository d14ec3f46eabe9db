package poai

import (
	"encoding/hex"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// table computes the answers to a line's words. A missing answer is "-".
type table struct{ *testing.T }

func (t table) number(text string) uint64 {
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func (t table) numbers(text string) (numbers []uint64) {
	if text != "-" {
		for _, number := range strings.Split(text, ",") {
			numbers = append(numbers, t.number(number))
		}
	}
	return numbers
}

func (t table) amount(text string) *big.Int {
	amount, ok := new(big.Int).SetString(text, 16)
	if !ok {
		t.Fatalf("%q is no amount", text)
	}
	return amount
}

func (t table) bytes(text string) (bytes [32]byte) {
	if n, err := hex.Decode(bytes[:], []byte(text)); err != nil || n != 32 {
		t.Fatal(text, err)
	}
	return bytes
}

func codeOf(err error) string {
	var code Error
	switch {
	case err == nil:
		return "0"
	case errors.As(err, &code):
		return strconv.Itoa(int(code))
	default:
		return err.Error()
	}
}

func hexOf(amount *big.Int, err error) string {
	if err != nil {
		return "-"
	}
	return hex.EncodeToString(amount.FillBytes(make([]byte, 16)))
}

func decimalOf(number uint64, err error) string {
	if err != nil {
		return "-"
	}
	return strconv.FormatUint(number, 10)
}

func bytesText(bytes [32]byte, err error) string {
	if err != nil {
		return "-"
	}
	return hex.EncodeToString(bytes[:])
}

// answer returns a line's answers, from its words.
func (t table) answer(w []string) (kind string, expected, got []string) {
	switch {
	case w[0] == "eai" && len(w) == 5:
		eai, err := EAI()
		if err != nil {
			t.Fatal(err)
		}
		got = []string{hexOf(eai.Max, nil), hexOf(eai.Foundation, nil)}
		got = append(got, decimalOf(eai.EraBlocks, nil), decimalOf(uint64(eai.EraDivisor), nil))
		return w[0], w[1:], got
	case w[0] == "supply" && len(w) == 10:
		supply := Supply{t.amount(w[2]), t.amount(w[3]), t.number(w[4]), uint8(t.number(w[5]))}
		subsidy, err := supply.Subsidy(t.number(w[6]))
		issued, errIssued := supply.Issued(t.number(w[6]))
		last, errLast := supply.LastPaidHeight()
		return w[0], append([]string{w[1], w[1], w[1]}, w[7:]...), []string{
			codeOf(err), codeOf(errIssued), codeOf(errLast),
			hexOf(subsidy, err), hexOf(issued, errIssued), decimalOf(last, errLast),
		}
	case w[0] == "past" && len(w) == 5:
		rules := TimeRules{Ancestors: uint32(t.number(w[2])), FutureLimit: 15}
		return w[0], w[1:2], []string{codeOf(rules.CheckPast(t.number(w[3]), t.numbers(w[4])))}
	case w[0] == "future" && len(w) == 6:
		rules := TimeRules{Ancestors: uint32(t.number(w[2])), FutureLimit: t.number(w[3])}
		return w[0], w[1:2], []string{codeOf(rules.CheckFuture(t.number(w[4]), t.number(w[5])))}
	case w[0] == "median" && len(w) == 4:
		median, err := MedianTimePast(t.numbers(w[2]))
		return w[0], []string{w[1], w[3]}, []string{codeOf(err), decimalOf(median, err)}
	case w[0] == "work" && len(w) == 5:
		sum, err := Work(t.bytes(w[2])).Add(t.amount(w[3]))
		return w[0], []string{w[1], w[4]}, []string{codeOf(err), bytesText(sum, err)}
	case w[0] == "order" && len(w) == 4:
		order := Work(t.bytes(w[2])).Cmp(Work(t.bytes(w[3])))
		return w[0], w[1:2], []string{strconv.Itoa(order)}
	case w[0] == "next" && len(w) == 11:
		asert := Asert{
			AnchorParentTime: 985, BlockTime: uint32(t.number(w[2])), HalfLife: uint32(t.number(w[3])),
			AnchorTarget: t.bytes(w[4]), DifficultyMin: t.amount(w[5]),
		}
		if w[6] != "-" {
			easiest := t.bytes(w[6])
			asert.EasiestTarget = &easiest
		}
		difficulty, target, err := asert.Next(t.number(w[7]), t.number(w[8]))
		return w[0], []string{w[1], w[9], w[10]}, []string{codeOf(err), hexOf(difficulty, err), bytesText(target, err)}
	}
	t.Fatal(w)
	return "", nil, nil
}

func TestTable(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(capi, "tests/chain.txt"))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		kind, expected, got := table{t}.answer(strings.Split(line, " "))
		if strings.Join(expected, " ") != strings.Join(got, " ") {
			t.Errorf("%s: %v", line, got)
		}
		counts[kind]++
	}
	if len(counts) != 8 {
		t.Errorf("kinds of lines: %v", counts)
	}
}

func TestAmountsThatAreNone(t *testing.T) {
	if _, err := (Supply{}).Subsidy(1); err == nil || err.Error() != "poai: Max is nil" {
		t.Error(err)
	}
	tooMuch := new(big.Int).Lsh(big.NewInt(1), 128)
	if _, err := (Supply{Max: tooMuch}).Issued(1); err == nil || !strings.Contains(err.Error(), "Max is not within") {
		t.Error(err)
	}
	if _, err := (Supply{Max: big.NewInt(1)}).LastPaidHeight(); err == nil || err.Error() != "poai: Foundation is nil" {
		t.Error(err)
	}
	if _, err := (Work{}).Add(big.NewInt(-1)); err == nil || codeOf(err) == "0" {
		t.Error(err)
	}
	if err := (TimeRules{Ancestors: 11}).CheckPast(5, []uint64{5}); codeOf(err) != "35" || err.(Error).Malformed() {
		t.Error(err)
	}
}
