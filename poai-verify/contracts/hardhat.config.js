// Hardhat is used only as a development node. compiler.js compiles the
// contracts, because Hardhat would download a compiler.
module.exports = { solidity: "0.8.37", networks: { hardhat: { chainId: 31337 } } };
