//! What the table still knows of tokens that are no longer live.

use super::TokenTable;

impl TokenTable {
    /// Whether the token was live and was removed not long ago. To tell one miss from another.
    pub fn was_removed(&self, token: u32) -> bool {
        let level = self.levels.current();
        self.levels.array(level).bucket(token).has_retired(token)
    }
}
