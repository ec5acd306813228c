"""How a demo comes to its policy: by reward, or from demonstrations."""
