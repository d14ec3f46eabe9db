// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title What the registry asks of a verifier: every contract that poai renders of a verifying key answers it
interface IInferenceVerifier {
    /// @notice Returns if the proof holds for these signals, and reverts otherwise.
    function verify(uint256[8] calldata proof, uint256[] calldata signals) external view;

    /// @notice How many signals its key takes.
    function SIGNALS() external view returns (uint256);

    /// @notice The digest of its verifying key.
    function VERIFYING_KEY() external view returns (bytes32);
}

/// @title A registry of models and of the runs that were proven
/// @notice Records who has proven which run of which model, under which verifying key, for which job. A payment
/// contract reads `statementOf` and compares it with the input and the output that it asked for.
/// @dev A receipt says that a statement is true. It measures no work: a prover that has proven one run proves the same run
/// for other jobs and other provers at a few multiplications of points each. The registry does not know whose input it
/// was. So pay for a statement, once, with the input that you chose; never by the number of receipts.
///
/// The registrar of a model states what its verifier stands for: that its key is of a circuit of this program, and that a
/// run takes these multiply-accumulates (MACs). A verifier that accepts everything would certify anything, so
/// registration is not open to all. One registrar registers, best a multisignature or a governance contract. It cannot
/// change or replace a registration, nor anything that was certified. A payer that trusts no registrar deploys a registry
/// of its own.
///
/// A model is a program under a verifying key. If a key's setup leaks, the registrar retires that model and registers the
/// program under another key. Receipts name the key, so that no receipt under the leaked key passes for one under the
/// other.
///
/// A binding names neither chain nor registry nor key. The sender has to be the prover everywhere, so no account gains by
/// another's proof. A prover may use its own proof in each registry that knows the model. A requester that pays on more
/// than one chain gives each its own job.
contract PoaiRegistry {
    /// @notice The sender is not who may do this.
    error NotPermitted(address sender);
    /// @notice An address is zero.
    error ZeroAddress();
    /// @notice The program is registered under this key, and stays as it is.
    error AlreadyRegistered(bytes32 programId, bytes32 verifyingKey);
    /// @notice No such program is registered under this key.
    error UnknownModel(bytes32 programId, bytes32 verifyingKey);
    /// @notice The model's retirement is announced, and its time stays as it is.
    error AlreadyRetiring(bytes32 programId, bytes32 verifyingKey, uint64 retiresAt);
    /// @notice The model is retired: what it certified stays, and nothing is added.
    error Retired(bytes32 programId, bytes32 verifyingKey, uint64 retiredAt);
    /// @notice The verifier is of another key than the registration says.
    error KeyMismatch(bytes32 got, bytes32 expected);
    /// @notice The verifier has other code than was registered.
    error CodeMismatch(bytes32 got, bytes32 expected);
    /// @notice A byte that stands for no visibility, or numbers of signals that this visibility does not have.
    error BadVisibility(uint8 visibility, uint8 inputSignals, uint8 outputSignals);
    /// @notice A number of signals that is not the model's.
    error SignalsCount(uint256 got, uint256 expected);
    /// @notice A commitment to weights although they are fixed, or no commitment although they are committed.
    error BadWeights(uint256 weights);
    /// @notice The proof is bound to another program, job, prover or number of MACs.
    error BindingMismatch(uint256 got, uint256 expected);
    /// @notice The proof is of other weights.
    error WeightsMismatch(uint256 got, uint256 expected);
    /// @notice This prover has proven a run of this model for this job before.
    error AlreadyCertified(bytes32 programId, bytes32 verifyingKey, bytes32 job, address prover);

    /// @notice A registered model.
    /// @param verifier The contract that checks its proofs
    /// @param macs Multiply-accumulates of a run, a part of every binding
    /// @param visibility Who sees what: the input in bits 0 and 1, the output in bits 2 and 3 (0 public, 1 hashed,
    /// 2 private), bit 4 set where weights are committed
    /// @param inputSignals How many signals are the input's
    /// @param outputSignals How many signals are the output's
    /// @param retiresAt From which time on no more proofs are taken, or 0 while no retirement is announced
    /// @param codeHash Keccak-256 of the verifier's code
    /// @param weights The commitment to the weights, or 0 where they are constants of the circuit
    struct Model {
        IInferenceVerifier verifier;
        uint64 macs;
        uint8 visibility;
        uint8 inputSignals;
        uint8 outputSignals;
        uint64 retiresAt;
        bytes32 codeHash;
        uint256 weights;
    }

    /// @notice A registrar named its successor, who has yet to accept.
    event RegistrarProposed(address indexed registrar, address indexed next);
    /// @notice There is a new registrar.
    event RegistrarChanged(address indexed registrar);
    /// @notice A model was registered.
    event ModelRegistered(
        bytes32 indexed programId,
        bytes32 indexed verifyingKey,
        address indexed verifier,
        bytes32 codeHash,
        uint64 macs,
        uint8 visibility,
        uint8 inputSignals,
        uint8 outputSignals,
        uint256 weights
    );
    /// @notice From `retiresAt` on a model takes no more proofs.
    event ModelRetiring(bytes32 indexed programId, bytes32 indexed verifyingKey, uint64 retiresAt);
    /// @notice A statement about a run was proven. It counts no work.
    event InferenceCertified(
        address indexed prover,
        bytes32 indexed job,
        bytes32 indexed programId,
        bytes32 verifyingKey,
        uint256[] signals
    );

    /// @notice What every binding begins with: "poai inference v1".
    bytes32 public constant TAG = "poai inference v1";
    /// @notice How long a model takes proofs after its retirement is announced, in seconds. A prover whose proof is on
    /// its way when the registrar retires the model has this long.
    uint64 public constant RETIREMENT_DELAY = 1 days;

    /// @notice Who registers models.
    address public registrar;
    /// @notice Who may become registrar by accepting, or zero.
    address public nextRegistrar;

    mapping(bytes32 programId => mapping(bytes32 verifyingKey => Model)) private models;
    mapping(bytes32 programId => mapping(bytes32 verifyingKey => mapping(bytes32 job => mapping(address prover => bytes32))))
        private statements;

    modifier onlyRegistrar() {
        if (msg.sender != registrar) revert NotPermitted(msg.sender);
        _;
    }

    /// @param first The first registrar
    constructor(address first) {
        if (first == address(0)) revert ZeroAddress();
        registrar = first;
        emit RegistrarChanged(first);
    }

    /// @notice Names the next registrar, who has to accept, so that a slip of the pen does not lose the registry.
    /// @param next The successor, or zero to take a proposal back
    function proposeRegistrar(address next) external onlyRegistrar {
        nextRegistrar = next;
        emit RegistrarProposed(registrar, next);
    }

    /// @notice Makes the sender registrar, where the registrar has named it.
    function acceptRegistrar() external {
        if (msg.sender != nextRegistrar) revert NotPermitted(msg.sender);
        registrar = msg.sender;
        nextRegistrar = address(0);
        emit RegistrarChanged(msg.sender);
    }

    /// @notice Registers a program under a verifying key, once and for all.
    /// @param programId The program's id
    /// @param verifyingKey The digest of the verifying key that is meant
    /// @param verifier The contract that checks its proofs, rendered from its verifying key. The registrar has looked at
    /// its code: it is trusted with this model's receipts. Do not register code that calls other contracts: the hash pins
    /// this contract's code alone
    /// @param codeHash Keccak-256 of the code that the registrar has looked at
    /// @param macs Multiply-accumulates of a run
    /// @param visibility Who sees what, see `Model`
    /// @param inputSignals How many signals are the input's
    /// @param outputSignals How many signals are the output's
    /// @param weights The commitment to the weights, or 0 where they are constants of the circuit
    function register(
        bytes32 programId,
        bytes32 verifyingKey,
        IInferenceVerifier verifier,
        bytes32 codeHash,
        uint64 macs,
        uint8 visibility,
        uint8 inputSignals,
        uint8 outputSignals,
        uint256 weights
    ) external onlyRegistrar {
        if (address(models[programId][verifyingKey].verifier) != address(0)) {
            revert AlreadyRegistered(programId, verifyingKey);
        }
        if (address(verifier) == address(0)) revert ZeroAddress();
        checkVisibility(visibility, inputSignals, outputSignals);
        if ((visibility >> 4 == 1) != (weights != 0)) revert BadWeights(weights);

        Model memory model =
            Model(verifier, macs, visibility, inputSignals, outputSignals, 0, codeHash, weights);
        checkCode(verifier, codeHash);
        uint256 expected = verifier.SIGNALS();
        if (count(visibility, inputSignals, outputSignals) != expected) {
            revert SignalsCount(count(visibility, inputSignals, outputSignals), expected);
        }
        bytes32 key = verifier.VERIFYING_KEY();
        if (key != verifyingKey) revert KeyMismatch(key, verifyingKey);

        models[programId][verifyingKey] = model;
        emit ModelRegistered(
            programId,
            verifyingKey,
            address(verifier),
            codeHash,
            macs,
            visibility,
            inputSignals,
            outputSignals,
            weights
        );
    }

    /// @notice Announces that a model takes no more proofs from `RETIREMENT_DELAY` later on, like after its key's setup
    /// has leaked. What was certified stays. A payer that knows of a leaked key stops paying at the announcement, whose
    /// time `modelOf` returns.
    /// @param programId The program's id
    /// @param verifyingKey The digest of the verifying key
    function retire(bytes32 programId, bytes32 verifyingKey) external onlyRegistrar {
        Model storage model = known(programId, verifyingKey);
        // Were it moved, a proof on its way could be shut out after all.
        if (model.retiresAt != 0) revert AlreadyRetiring(programId, verifyingKey, model.retiresAt);
        model.retiresAt = uint64(block.timestamp) + RETIREMENT_DELAY;
        emit ModelRetiring(programId, verifyingKey, model.retiresAt);
    }

    /// @notice Records that the sender has proven a statement about a run of a model for a job; reverts if the proof
    /// does not show it.
    /// @dev The proof is bound to its sender, so that who sees it on its way cannot use it. Receipts are by program, key,
    /// job and prover: by key, because a proof under a leaked one must not pass for, or stand in the way of, one under
    /// another; not by proof, because anybody can turn a proof into another one of the same statement; not without the
    /// prover, because then a stranger's proof about an input of its own could shut the prover of the job out.
    /// The verifier is called before anything is written, as a static call: it cannot write, so neither can whom it
    /// might call back into.
    /// @param programId The program's id
    /// @param verifyingKey The digest of the verifying key
    /// @param job The requester's name for the job
    /// @param proof The proof's eight words
    /// @param signals The public inputs: the binding; the input's; the weights' commitment where they are committed; the
    /// output's
    /// @return statement What `statementOf` answers from now on
    function verifyInference(
        bytes32 programId,
        bytes32 verifyingKey,
        bytes32 job,
        uint256[8] calldata proof,
        uint256[] calldata signals
    ) external returns (bytes32 statement) {
        Model storage model = known(programId, verifyingKey);
        uint64 retiresAt = model.retiresAt;
        if (retiresAt != 0 && block.timestamp >= retiresAt) revert Retired(programId, verifyingKey, retiresAt);
        if (statements[programId][verifyingKey][job][msg.sender] != 0) {
            revert AlreadyCertified(programId, verifyingKey, job, msg.sender);
        }
        checkSignals(model, programId, job, signals);
        checkCode(model.verifier, model.codeHash);
        model.verifier.verify(proof, signals);

        statement = keccak256(abi.encodePacked(signals));
        statements[programId][verifyingKey][job][msg.sender] = statement;
        emit InferenceCertified(msg.sender, job, programId, verifyingKey, signals);
    }

    /// @notice The registered model of a program and a verifying key.
    /// @param programId The program's id
    /// @param verifyingKey The digest of the verifying key
    function modelOf(bytes32 programId, bytes32 verifyingKey) external view returns (Model memory) {
        return known(programId, verifyingKey);
    }

    /// @notice What a prover has proven of a model for a job: Keccak-256 of the signals' words one after another, or 0
    /// if nothing. By it a payment contract compares input and output with what was asked for.
    /// @param programId The program's id
    /// @param verifyingKey The digest of the verifying key, whose setup the reader trusts
    /// @param job The requester's name for the job
    /// @param prover The prover's address
    function statementOf(bytes32 programId, bytes32 verifyingKey, bytes32 job, address prover)
        external
        view
        returns (bytes32)
    {
        return statements[programId][verifyingKey][job][prover];
    }

    /// @notice The first signal of a prover's proofs for a job.
    /// @param programId The program's id
    /// @param verifyingKey The digest of the verifying key
    /// @param job The requester's name for the job
    /// @param prover The prover's address
    function bindingOf(bytes32 programId, bytes32 verifyingKey, bytes32 job, address prover)
        external
        view
        returns (uint256)
    {
        return bindingTo(programId, job, prover, known(programId, verifyingKey).macs);
    }

    /// The binding of a program, a job, a prover and MACs.
    function bindingTo(bytes32 programId, bytes32 job, address prover, uint256 macs) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(TAG, programId, job, prover, macs))) & (2 ** 253 - 1);
    }

    /// Reverts where a verifier's code is not what was registered. A contract that destroys itself may come back at its
    /// address with other code, on chains that have it so.
    function checkCode(IInferenceVerifier verifier, bytes32 expected) private view {
        bytes32 got = address(verifier).codehash;
        if (got != expected) revert CodeMismatch(got, expected);
    }

    /// Reverts where the signals are not of this model, job and sender. The verifier checks that they are field elements.
    function checkSignals(Model storage model, bytes32 programId, bytes32 job, uint256[] calldata signals) private view {
        uint256 expected = count(model.visibility, model.inputSignals, model.outputSignals);
        if (signals.length != expected) revert SignalsCount(signals.length, expected);
        uint256 binding = bindingTo(programId, job, msg.sender, model.macs);
        if (signals[0] != binding) revert BindingMismatch(signals[0], binding);
        if (model.visibility >> 4 == 1) {
            uint256 got = signals[1 + uint256(model.inputSignals)];
            if (got != model.weights) revert WeightsMismatch(got, model.weights);
        }
    }

    /// Reverts if the byte is no visibility, or if these are not its numbers of signals.
    function checkVisibility(uint8 visibility, uint8 inputSignals, uint8 outputSignals) private pure {
        bool fits = visibility >> 5 == 0 && tensorFits(visibility & 3, inputSignals)
            && tensorFits((visibility >> 2) & 3, outputSignals);
        if (!fits) revert BadVisibility(visibility, inputSignals, outputSignals);
    }

    /// A public tensor is one signal or more, a hashed one one, a private one none.
    function tensorFits(uint8 visibility, uint8 signals) private pure returns (bool) {
        if (visibility == 0) return signals >= 1;
        if (visibility == 1) return signals == 1;
        return visibility == 2 && signals == 0;
    }

    /// The signals of a model: the binding, the input's, the weights' and the output's.
    function count(uint8 visibility, uint8 inputSignals, uint8 outputSignals) private pure returns (uint256) {
        return 1 + uint256(inputSignals) + (visibility >> 4) + outputSignals;
    }

    function known(bytes32 programId, bytes32 verifyingKey) private view returns (Model storage model) {
        model = models[programId][verifyingKey];
        if (address(model.verifier) == address(0)) revert UnknownModel(programId, verifyingKey);
    }
}
