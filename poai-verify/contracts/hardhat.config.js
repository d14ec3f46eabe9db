// A development node and nothing else: contracts are compiled by compiler.js,
// because Hardhat would download a compiler.
module.exports = { solidity: "0.8.37", networks: { hardhat: { chainId: 31337 } } };
