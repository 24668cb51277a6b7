//! What a guest reads about itself: metadata documents and the config drive; pure.
